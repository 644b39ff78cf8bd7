import { setTimeout as sleep } from 'node:timers/promises';
import { Choices } from '@millrace/core/testing';
import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestDatabase } from '../database.ts';
import { type LogicalServer, logicalServer } from '../logical-server.ts';
import { contents, declared, LiveMirror, markerTable, prepare } from './live-mirror.ts';
import { choicesOf, columnChanges, createTables, createTypes, randomTables, randomTransaction } from './random-sql.ts';

/*
 * Whatever is done at the source, a mirror has it: equal to the source, and equal to what PostgreSQL's own subscription makes of it.
 * MILLRACE_SEEDS=100 MILLRACE_SEED=7 npx vitest run test/cdc/differential.pg.test.ts
 */
const seeds = Number(process.env['MILLRACE_SEEDS'] ?? 1);
const firstSeed = Number(process.env['MILLRACE_SEED'] ?? 1);
const each = Array.from({ length: seeds }, (_, place) => firstSeed + place);
const rounds = 4;

let server: LogicalServer;
beforeAll(async () => {
  server = await logicalServer({
    settings: {
      synchronous_commit: 'on',
      logical_decoding_work_mem: '64kB',
      max_worker_processes: 40,
      max_logical_replication_workers: 20,
    },
  });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

test.for(each)('seed %i: the mirror and a subscription come to the same, which is the source', { timeout: 120_000 }, async (seed) => {
  const choices = choicesOf(seed);
  await using world = await made(choices);
  const { source, target, mirror } = world;
  await using native = await subscribed(source);
  for (let round = 0; round < rounds; round++) {
    await transactions(source, choices, 4 + choices.below(10), round === 2);
    if (choices.below(3) === 0) {
      await mirror.stop();
      await transactions(source, choices, choices.below(6));
      await mirror.start();
    }
    await mirror.caughtUp();
    await native.caughtUp();
    for (const table of randomTables) {
      const expected = await contents(source, table);
      expect({ table, ours: await contents(target, table) }).toEqual({ table, ours: expected });
      expect({ table, native: await contents(native.database, table) }).toEqual({ table, native: expected });
    }
  }
});

test.for(each)(
  'seed %i: columns that come and go in between, within transactions of rows, do no harm',
  { timeout: 120_000 },
  async (seed) => {
    const choices = choicesOf(seed + 1_000_000);
    await using world = await made(choices, { drop: 'apply', retype: 'apply' });
    const { source, target, mirror } = world;
    await mirror.caughtUp(); // columns of before the stream that are not declared stay out of it
    let next = 0;
    for (let round = 0; round < rounds; round++) {
      for (let left = 3 + choices.below(4); left > 0; left--) {
        await transactions(source, choices, 1 + choices.below(3));
        if (choices.below(2) === 0)
          await transaction(source, [
            ...randomTransaction(choices),
            columnChanges[next++ % columnChanges.length] as string,
            ...randomTransaction(choices),
          ]);
        if (choices.below(5) === 0) {
          await mirror.stop();
          await mirror.start();
        }
      }
      await mirror.caughtUp();
      for (const table of randomTables)
        expect({ table, rows: await contents(target, table) }).toEqual({ table, rows: await contents(source, table) });
    }
  },
);

test('whatever transactions fast-check thinks of, the mirror has their rows; the fewest that it has not are told', {
  timeout: 300_000,
}, async () => {
  await using world = await made(choicesOf(0));
  const { source, target, mirror } = world;
  const tape = fc.array(fc.nat({ max: 1_000 }), { maxLength: 40 });
  const play = async (tapes: readonly (readonly number[])[], stopAt: number): Promise<void> => {
    await source.sql(`truncate ${randomTables.join(', ')}`);
    await transaction(source, ['insert into by_int (id, b) select g, repeat(md5(g::text), 150) from generate_series(1, 12) g']);
    for (const [at, numbers] of tapes.entries()) {
      await transaction(source, randomTransaction(new Choices(numbers)));
      if (at !== stopAt) continue;
      await mirror.stop();
      await mirror.start();
    }
    await mirror.caughtUp();
    for (const table of randomTables)
      expect({ table, rows: await contents(target, table) }).toEqual({ table, rows: await contents(source, table) });
  };
  await fc.assert(fc.asyncProperty(fc.array(tape, { minLength: 1, maxLength: 8 }), fc.nat({ max: 30 }), play), {
    numRuns: 4 + 2 * seeds,
    seed: firstSeed,
    endOnFailure: false,
  });
});

/** A source with rows, and a mirror of it. */
async function made(choices: Choices, schemaChanges = {}) {
  const source = await server.database();
  const target = await server.database();
  await prepare(source);
  await source.sql(`${createTypes}; ${createTables()}`);
  await target.sql(createTypes);
  await transactions(source, choices, 10);
  const all = await declared(source);
  const tables = Object.fromEntries(
    [...randomTables, markerTable].map((name) => [name, name === 'by_index' ? { ...all[name]!, key: ['b'] } : all[name]!]),
  );
  const mirror = new LiveMirror({ source, target, tables, capture: { schemaChanges, streaming: choices.below(2) === 0 } });
  await mirror.start();
  return {
    source,
    target,
    mirror,
    async [Symbol.asyncDispose]() {
      await mirror[Symbol.asyncDispose]();
      await (await sessions.get(source))?.end();
      await source[Symbol.asyncDispose]();
      await target[Symbol.asyncDispose]();
    },
  };
}

/** PostgreSQL's own: the same tables in another database of the server, which follow a slot that is there already. */
async function subscribed(source: TestDatabase) {
  const database = await server.database();
  const name = `native_${database.name}`;
  await database.sql(`${createTypes}; ${createTables(true)}`);
  await database.sql(`create table ${markerTable} (id int4 primary key, n int8 not null)`);
  await source.sql(`create publication ${name} for table ${[...randomTables, markerTable].join(', ')} with (publish_via_partition_root)`);
  await source.sql(`select pg_create_logical_replication_slot('${name}', 'pgoutput')`);
  await database.sql(
    `create subscription ${name} connection '${source.url}' publication ${name} with (create_slot = false, slot_name = '${name}', binary = true)`,
  );
  return {
    database,
    async caughtUp() {
      const [row] = await source.sql<{ n: string }>(`update ${markerTable} set n = n + 1 returning n`);
      const deadline = performance.now() + 30_000;
      for (;;) {
        const [synced] = await database.sql<{ all: boolean }>(`select bool_and(srsubstate = 'r') as all from pg_subscription_rel`);
        const [seen] = await database.sql<{ n: string }>(`select n from ${markerTable}`);
        if (synced?.all && seen && BigInt(seen.n) >= BigInt(row?.n ?? 0)) return;
        if (performance.now() > deadline) throw new Error(`the subscription does not catch up: ${server.log().slice(-2_000)}`);
        await sleep(20);
      }
    },
    async [Symbol.asyncDispose]() {
      await database.sql(`alter subscription ${name} disable`);
      await database.sql(`alter subscription ${name} set (slot_name = none)`);
      await database.sql(`drop subscription ${name}`);
      await database[Symbol.asyncDispose]();
    },
  };
}

async function transactions(source: TestDatabase, choices: Choices, count: number, withLarge = false): Promise<void> {
  for (let left = count; left > 0; left--) await transaction(source, randomTransaction(choices));
  if (!withLarge) return;
  // More than is held in memory at once, and most of it gone again at its end.
  await transaction(source, [
    `insert into by_int (id, a, b) select g, g, repeat(md5(g::text), 300) from generate_series(1000, 3000) g on conflict do nothing`,
    'update by_int set a = -a where id between 1000 and 2000',
    'delete from by_int where id > 1010',
    'update by_int set id = id + 5000000 where id >= 1000',
  ]);
}

/** What fails by itself is undone by itself. */
async function transaction(source: TestDatabase, statements: readonly string[]): Promise<void> {
  const client = await sessionOf(source);
  await client.query('begin');
  for (const statement of statements) {
    try {
      await client.query(`savepoint each; ${statement}; release savepoint each`);
    } catch (error) {
      // A key that is there, a number out of range, a column that goes by another name now.
      if (!/^(23|22|42703)/.test((error as { code?: string }).code ?? '')) throw error;
      await client.query('rollback to savepoint each');
    }
  }
  await client.query('commit').catch((error: unknown) => {
    if (!(error as { code?: string }).code?.startsWith('23')) throw error;
  });
}

const sessions = new Map<TestDatabase, Promise<pg.Client>>();

function sessionOf(source: TestDatabase): Promise<pg.Client> {
  const known = sessions.get(source);
  if (known) return known;
  const client = new pg.Client({ connectionString: source.url });
  client.on('error', () => {}); // it ends with its database
  const connected = client.connect().then(() => client);
  sessions.set(source, connected);
  return connected;
}
