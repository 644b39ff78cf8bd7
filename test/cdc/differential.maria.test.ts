import { mysql } from '@millrace/connectors/mysql';
import { postgres } from '@millrace/connectors/postgres';
import type { Table } from '@millrace/core';
import { batchesOf, rowsOf, type Selection } from '@millrace/core/runtime';
import { testContext } from '@millrace/core/testing';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestDatabase } from '../database.ts';
import { type LogicalServer, logicalServer } from '../logical-server.ts';
import { type MariaDbServer, mariaDbServer } from '../mariadb-server.ts';
import { declared, LiveMirror, markerTable, prepare } from './live-mirror.ts';
import { choicesOf, columnChanges, createTables, createTypes, randomTables, randomTransaction } from './random-sql.ts';

/*
 * Whatever is done in Postgres, a mirror of it in MariaDB has it.
 * MILLRACE_SEEDS=100 MILLRACE_SEED=7 npx vitest run --project maria test/cdc/differential
 */
const seeds = Number(process.env['MILLRACE_SEEDS'] ?? 1);
const firstSeed = Number(process.env['MILLRACE_SEED'] ?? 1);
const rounds = 3;
/** A table without a key cannot be followed here. */
const followed = randomTables.filter((name) => name !== 'keyless');

let server: LogicalServer;
let maria: MariaDbServer;
beforeAll(async () => {
  [server, maria] = await Promise.all([logicalServer({ settings: { logical_decoding_work_mem: '64kB' } }), mariaDbServer()]);
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await maria?.[Symbol.asyncDispose]();
});

test.for(Array.from({ length: seeds }, (_, place) => firstSeed + place))(
  'seed %i: rows and columns that come and go, keys of every type, and a mirror that is stopped in between: it is as the source',
  { timeout: 180_000 },
  async (seed) => {
    const choices = choicesOf(seed);
    await using source = await server.database();
    const { url, sql } = await maria.database();
    await prepare(source);
    // MySQL has no number without end, and none that is none.
    await source.sql(`${createTypes}; ${createTables()}; alter table by_int alter c type numeric(20,6); alter table by_numeric alter k type numeric(12,3);
      alter table by_float add check (k <> 'NaN')`);
    const session = new pg.Client({ connectionString: source.url });
    await session.connect();
    try {
      for (let count = 10; count > 0; count--) await transaction(session, randomTransaction(choices));
      const tables = async (): Promise<Record<string, Table>> => {
        const all = await declared(source);
        return Object.fromEntries(
          [...followed, markerTable].map((name) => [name, name === 'by_index' ? ({ ...all[name]!, key: ['b'] } as Table) : all[name]!]),
        );
      };
      const apply = () => mysql({ url }).apply();
      const marker = async () => (await sql(`select n from ${markerTable}`))[0]?.['n'] ?? undefined;
      const schemaChanges = { drop: 'apply', retype: 'apply' } as const;
      await using mirror = new LiveMirror({
        source,
        target: { apply, marker },
        tables: await tables(),
        capture: { schemaChanges, streaming: choices.below(2) === 0 },
      });
      await mirror.start();
      await mirror.caughtUp(); // columns of before the stream that are not declared stay out of it
      let next = 0;
      for (let round = 0; round < rounds; round++) {
        for (let left = 3 + choices.below(4); left > 0; left--) {
          for (let count = 1 + choices.below(3); count > 0; count--) await transaction(session, randomTransaction(choices));
          if (choices.below(2) === 0)
            await transaction(session, [
              ...randomTransaction(choices),
              columnChanges[next++ % columnChanges.length] as string,
              ...randomTransaction(choices),
            ]);
          if (choices.below(5) > 0) continue;
          await mirror.stop();
          await mirror.start();
        }
        await mirror.caughtUp();
        for (const [name, table] of Object.entries(await tables()))
          expect({ name, rows: await rowsIn(apply().stored!(name, table)) }).toEqual({
            name,
            rows: await rowsIn(selectionOf(source, table)),
          });
      }
    } finally {
      await session.end();
    }
  },
);

const selectionOf = ({ url }: TestDatabase, table: Table): Selection => postgres({ url }).selection(table);

async function rowsIn(selection: Selection): Promise<string[]> {
  await using source = await selection.open(testContext());
  const plan = await source.plan({ absorbed: [], since: null, splitBytes: 1e9, earlier: null });
  const format = source.offers(plan).find((offered) => offered !== 'pgcopy-binary') ?? 'batches';
  const rows: string[] = [];
  for (const split of plan.splits)
    for await (const batch of batchesOf(await source.open(split, format)))
      rows.push(...rowsOf(batch).map((row) => JSON.stringify(row, shown)));
  return rows.sort();
}

const shown = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);

async function transaction(session: pg.Client, statements: readonly string[]): Promise<void> {
  await session.query('begin');
  for (const statement of statements) {
    await session.query('savepoint before');
    await session.query(statement).catch(() => session.query('rollback to before'));
  }
  await session.query('commit');
}
