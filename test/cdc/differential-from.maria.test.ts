import { createHash } from 'node:crypto';
import { mariadb } from '@millrace/connectors/mysql';
import { batchesOf, rowsOf, type Table, textCodec } from '@millrace/core/runtime';
import { type Choices, testContext } from '@millrace/core/testing';
import type { Connection } from 'mysql2/promise';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestDatabase } from '../database.ts';
import { type MariaDbServer, mariaDbServer, withNumbers } from '../mariadb-server.ts';
import { testDatabase } from '../postgres.ts';
import { LiveMirror, markerTable } from './live-mirror.ts';
import { createMariaTables, mariaChoices, mariaColumnChanges, mariaTables, mariaTransaction } from './maria-sql.ts';

/*
 * Whatever is done at a MariaDB, a mirror of it in Postgres has it: random transactions, with rotations, restarts and crashes of the server and of the
 * stream in between, then also with columns that come and go. The source itself says what is right, by way of SQL that prints each value.
 * MILLRACE_SEEDS=100 MILLRACE_SEED=7 npx vitest run --project maria test/cdc/differential-from.maria
 */
const seeds = Number(process.env['MILLRACE_SEEDS'] ?? 1);
const firstSeed = Number(process.env['MILLRACE_SEED'] ?? 1);
const each = Array.from({ length: seeds }, (_, place) => firstSeed + place);
const rounds = 4;

let server: MariaDbServer;
beforeAll(async () => {
  // What a crash must not take back has to be on the disk: here a crash is one of processes, not of the machine.
  server = await mariaDbServer({ binlog: true });
});
afterAll(() => server?.[Symbol.asyncDispose]());

test.for(each)('seed %i: the mirror comes to what the source has, whatever happens to either', { timeout: 120_000 }, async (seed) => {
  const choices = mariaChoices(seed);
  await using world = await made(choices);
  const { mirror } = world;
  for (let round = 0; round < rounds; round++) {
    await world.transactions(4 + choices.below(10), round === 2);
    switch (choices.below(6)) {
      case 0:
        await mirror.stop();
        await world.transactions(choices.below(6));
        await mirror.start();
        break;
      case 1:
        await server.sql('flush binary logs');
        break;
      case 2:
        await mirror.stop();
        await (choices.below(2) === 0 ? server.kill() : server.stop());
        await server.start();
        world.reconnect();
        await mirror.start();
        break;
      case 3:
        await mirror.caughtUp();
        await mirror.caughtUp(); // this time by the stream, not by the first copy
        await server.purge();
        await mirror.caughtUp(); // is beyond the place where the log begins now
        break;
      default:
    }
    await mirror.caughtUp();
    await world.compare();
  }
});

test.for(each)('seed %i: columns that come and go in between do no harm', { timeout: 120_000 }, async (seed) => {
  const choices = mariaChoices(seed + 1_000_000);
  await using world = await made(choices, { drop: 'apply', retype: 'apply' });
  const { mirror } = world;
  await mirror.caughtUp();
  let next = 0;
  for (let round = 0; round < rounds; round++) {
    for (let left = 3 + choices.below(4); left > 0; left--) {
      await world.transactions(1 + choices.below(3));
      if (choices.below(2) === 0)
        await world.transaction([
          ...mariaTransaction(choices),
          ...(mariaColumnChanges[next++ % mariaColumnChanges.length] ?? []),
          ...mariaTransaction(choices),
        ]);
      if (choices.below(5) === 0) {
        await mirror.stop();
        await mirror.start();
      }
    }
    await mirror.caughtUp();
    await world.compare();
  }
});

/** A source with rows, and a mirror of it. */
async function made(choices: Choices, schemaChanges = {}) {
  await server.sql('drop database if exists _millrace');
  const database = await server.database();
  const target = await testDatabase();
  await database.sql(
    `create table ${markerTable} (id int primary key, n bigint not null)`,
    `insert into ${markerTable} values (1, 0)`,
    ...createMariaTables(server.flavour),
  );
  const connection = mariadb({ url: database.url });
  const introspected = async (): Promise<Record<string, Table>> => {
    const found = await connection.introspect(testContext(), {});
    return Object.fromEntries(found.map((table) => [table.name.split('.').at(-1) ?? '', table]));
  };
  let session: Connection | undefined;
  const world = {
    reconnect(): void {
      session = undefined;
    },
    async transaction(statements: readonly string[]): Promise<void> {
      session ??= await server.connect(database.name);
      await session.query('begin');
      for (const statement of statements) {
        try {
          await session.query('savepoint each_one');
          await session.query(server.flavour === 'mysql' ? withNumbers(statement) : statement);
        } catch (error) {
          // A key that is there, a value out of range, a column that goes by another name now, a savepoint that DDL took away.
          if (
            ![1062, 1264, 1265, 1292, 1406, 1054, 1305, 1060, 1091, 1690, 1366, 1136, 1761].includes(
              (error as { errno?: number }).errno ?? 0,
            )
          )
            throw error;
          await session.query('rollback to each_one').catch(() => {});
        }
      }
      await session.query('commit');
    },
    async transactions(count: number, withLarge = false): Promise<void> {
      for (let left = count; left > 0; left--) await world.transaction(mariaTransaction(choices));
      if (!withLarge) return;
      await world.transaction([
        'insert ignore into by_int (id, a, b) select seq, seq, repeat(left(sha2(seq, 256), 32), 300) from seq_10000_to_12000',
        'update by_int set a = -a where id between 10000 and 11000',
        'delete from by_int where id > 10010',
        'update by_int set id = id + 5000000 where id >= 10000',
      ]);
    },
    async compare(): Promise<void> {
      const tables = await introspected();
      for (const name of mariaTables) {
        const table = tables[name] as Table;
        const expected = await there(connection, table);
        expect({ table: name, rows: await mirrored(target, name) }).toEqual({ table: name, rows: expected });
      }
    },
  };
  await world.transactions(10);
  const mirror = new LiveMirror({
    source: {
      connection: connection as never,
      tables: await introspected(),
      async mark() {
        await database.sql(`update ${markerTable} set n = n + 1`);
        const [row] = await database.sql(`select n from ${markerTable}`);
        return BigInt(row?.['n'] ?? 0);
      },
    },
    target,
    capture: { schemaChanges },
  });
  await mirror.start();
  return {
    ...world,
    mirror,
    async [Symbol.asyncDispose]() {
      await mirror[Symbol.asyncDispose]();
      session?.destroy();
      await target[Symbol.asyncDispose]();
    },
  };
}

/** Values as `selection` reads them out of the table, and then as Postgres prints them. */
async function there(connection: ReturnType<typeof mariadb>, table: Table): Promise<string[]> {
  await using source = await connection.selection(table).open(testContext());
  const plan = await source.plan({ absorbed: [], since: null, splitBytes: 1e9, earlier: null });
  const printers = table.columns.map(({ name, type }) => ({ name, print: textCodec(type).print }));
  const rows: string[] = [];
  for (const split of plan.splits) {
    for await (const batch of batchesOf(await source.open(split, 'batches'))) {
      for (const row of rowsOf(batch))
        rows.push(shown(printers.map(({ name, print }) => [name, row[name] === null ? null : print(row[name])])));
    }
  }
  return rows.sort();
}

async function mirrored(target: TestDatabase, name: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: target.url, options: '-c intervalstyle=iso_8601 -c timezone=UTC' });
  await client.connect();
  try {
    const { rows: columns } = await client.query<{ name: string }>(
      'select attname as name from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped',
      [name],
    );
    const { rows } = await client.query<Record<string, string | null>>(
      `select ${columns.map((column) => `"${column.name}"::text`).join(', ')} from "${name}"`,
    );
    return rows.map((row) => shown(Object.entries(row))).sort();
  } finally {
    await client.end();
  }
}

/** In the order of the columns' names; long ones cut. */
const shown = (values: readonly (readonly [name: string, value: string | null])[]): string =>
  [...values]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(
      ([name, value]) =>
        `${name}=${value === null ? 'NULL' : value.length > 100 ? `${value.slice(0, 40)}… ${value.length} ${createHash('md5').update(value).digest('hex')}` : value}`,
    )
    .join(' | ');
