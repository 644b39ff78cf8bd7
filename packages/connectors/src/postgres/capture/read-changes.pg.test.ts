import { bytea, int4, int8, jsonb, numeric, table, text, timestamptz, uuid } from '@millrace/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestDatabase } from '../../../../../test/database.ts';
import { type LogicalServer, logicalServer } from '../../../../../test/logical-server.ts';
import { begin, brief, changesOf, readToEnd, stream } from '../../../test/changes.ts';
import { testContext } from '../../../test/load.ts';
import { readPlan, wholeTable } from '../../../test/read.ts';
import { postgres } from '../index.ts';

const orders = table(
  'public.orders',
  {
    id: int8(),
    customer: int4().orNull(),
    total: numeric(12, 2).orNull(),
    note: text().orNull(),
    extra: jsonb().orNull(),
    seen: timestamptz().orNull(),
    tag: uuid().orNull(),
    raw: bytea().orNull(),
  },
  { key: ['id'] },
);
const customers = table('customers', { id: int4(), name: text() }, { key: ['id'] });

describe.for([14, 16, 18] as const)('version %i', (version) => {
  let server: LogicalServer;
  beforeAll(async () => {
    server = await logicalServer({ version });
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
  });

  async function shop(): Promise<TestDatabase> {
    const database = await server.database();
    await database.sql(`create table orders (id int8 primary key, customer int4, total numeric(12,2), note text, extra jsonb, seen timestamptz, tag uuid, raw bytea);
      create table customers (id int4 primary key, name text not null)`);
    return database;
  }

  test('inserts, updates and deletes come in order, in whole transactions', async () => {
    await using database = await shop();
    const captured = postgres({ url: database.url }).capture({ orders, customers });
    const { changes, groups } = await changesOf(captured, testContext(), async () => {
      await database.sql(`begin; insert into customers values (1, 'Ada'); insert into orders values (1, 1, 12.5, 'first', '{"a": 1}',
        '2026-03-29 01:02:03.456789+02', 'c0ffee00-0000-4000-8000-000000000001', '\\x0102'), (2, 1, null, null, null, null, null, null); commit`);
      await database.sql(
        `begin; update orders set total = 13 where id = 1; delete from orders where id = 2; update customers set name = 'Bob'; commit`,
      );
    });
    const first = {
      id: 1n,
      customer: 1,
      total: '12.50',
      note: 'first',
      extra: '{"a": 1}',
      seen: '2026-03-28T23:02:03.456789Z',
      tag: 'c0ffee00-0000-4000-8000-000000000001',
      raw: new Uint8Array([1, 2]),
    };
    const nothing = { customer: null, total: null, note: null, extra: null, seen: null, tag: null, raw: null };
    expect(brief(changes)).toEqual([
      { op: 'insert', table: 'customers', row: { id: 1, name: 'Ada' } },
      { op: 'insert', table: 'orders', row: first },
      { op: 'insert', table: 'orders', row: { id: 2n, ...nothing, customer: 1 } },
      { op: 'update', table: 'orders', row: { ...first, total: '13.00' } },
      { op: 'delete', table: 'orders', row: { id: 2n, ...nothing }, old: { id: 2n, ...nothing }, before: 'key' },
      { op: 'update', table: 'customers', row: { id: 1, name: 'Bob' } },
    ]);
    const transactions = groups.flatMap((group) => group.transactions);
    expect(transactions).toHaveLength(2);
    expect(transactions[0]?.commit).toMatch(/^00000001[0-9A-F]{16}$/);
    expect((transactions[0]?.commit ?? '') < (transactions[1]?.commit ?? '')).toBe(true);
    expect(transactions[0]?.committedAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  });

  test('the snapshot and the stream after it hold every row once', async () => {
    await using database = await shop();
    await database.sql(`insert into customers select n, 'c' || n from generate_series(1, 1000) n`);
    const captured = postgres({ url: database.url }).capture({ customers });
    await using source = await captured.open(testContext(), stream);
    const { identity, snapshot } = await source.create();
    await database.sql(`insert into customers values (1001, 'late')`);
    await using rows = await snapshot.table('customers');
    const read = await readPlan(rows, await rows.plan({ ...wholeTable, splitBytes: 16 * 1024 }));
    expect(read.rows).toHaveLength(1000);
    expect(read.splits.length).toBeGreaterThan(1);
    const status = await source.stream();
    expect(status?.identity).toEqual(identity);
    expect(status?.confirmed).toBe(snapshot.position);
    const groups = await readToEnd(source, snapshot.position);
    expect(brief(groups.flatMap(({ changes }) => changes))).toEqual([
      { op: 'insert', table: 'customers', row: { id: 1001, name: 'late' } },
    ]);
    await snapshot[Symbol.asyncDispose]();
  });

  test('reading again from a position brings what comes after it and nothing else', async () => {
    await using database = await shop();
    const captured = postgres({ url: database.url }).capture({ customers });
    const context = testContext();
    const { source, position } = await begin(captured, context);
    for (let id = 1; id <= 3; id++) await database.sql(`insert into customers values (${id}, 'x')`);
    const groups = await readToEnd(source, position);
    await source[Symbol.asyncDispose]();
    const all = groups.flatMap(({ transactions }) => transactions);
    expect(all).toHaveLength(3);
    await using again = await captured.open(context, stream);
    const rest = await readToEnd(again, (groups[0] as (typeof groups)[0]).position);
    expect(rest.flatMap(({ transactions }) => transactions).map(({ commit }) => commit)).toEqual(
      all.slice(groups[0]?.transactions.length).map(({ commit }) => commit),
    );
  });
});
