import { date, float8, int8, numeric, table, text, timestamp, timestamptz, uuid } from '@millrace/core';
import type { Selection } from '@millrace/core/runtime';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import { type Row, testContext } from '../../test/load.ts';
import { type Read, readAll } from '../../test/read.ts';
import { postgres } from './index.ts';
import { successor } from './window.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db?.[Symbol.asyncDispose]());

const shop = () => postgres({ url: db.url });
const read = (selection: Selection, column: string, low: string | null, lagMs = 0, context = testContext()): Promise<Read> =>
  readAll(selection, { since: { column, low, lagMs }, splitBytes: 64 * 1024 }, context);
const ids = (rows: readonly Row[]) => rows.map((row) => Number(row['id'])).sort((a, b) => a - b);
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function session(): Promise<pg.Client & AsyncDisposable> {
  const client = new pg.Client({ connectionString: db.url });
  client.on('error', () => {});
  await client.connect();
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
}

test('windows that follow one another hold every row once, while short and long transactions write out of order', async () => {
  await db.sql(
    `create table orders (id bigserial primary key, updated_at timestamptz not null default now(), note text); create index on orders (updated_at)`,
  );
  const orders = shop().selection(table('orders', { id: int8(), updated_at: timestamptz() }, { key: ['id'] }));
  let writing = true;
  const writer = async (hold: number) => {
    await using client = await session();
    while (writing) {
      await client.query('begin');
      await client.query('select 1');
      await pause(Math.random() * hold);
      await client.query(`insert into orders (note) select 'n' from generate_series(1, 5)`);
      await pause(Math.random() * hold);
      await client.query('commit');
    }
  };
  const writers = [5, 20, 60, 300, 700].map(writer);
  const seen: number[] = [];
  let low: string | null = null;
  for (let round = 0; round < 6; round++) {
    const { plan, rows } = await read(orders, 'updated_at', low);
    expect(plan.window?.low).toBe(low);
    seen.push(...ids(rows));
    low = plan.window?.high ?? null;
    await pause(50);
  }
  writing = false;
  await Promise.all(writers);
  seen.push(...ids((await read(orders, 'updated_at', low)).rows));
  const [{ count } = { count: '0' }] = await db.sql<{ count: string }>('select count(*) from orders');
  expect(new Set(seen).size).toBe(seen.length);
  expect(seen.length).toBe(Number(count));
}, 40_000);

test('integer keys: a transaction that took its number early and commits late is waited for', async () => {
  await db.sql(
    `create table tickets (id bigserial primary key, note text); insert into tickets (note) select 'a' from generate_series(1, 10)`,
  );
  const tickets = shop().selection(table('tickets', { id: int8() }, { key: ['id'] }));
  await using slow = await session();
  await slow.query('begin');
  await slow.query(`insert into tickets (note) values ('slow')`);
  await db.sql(`insert into tickets (note) values ('fast')`);
  const reading = read(tickets, 'id', null);
  await pause(700);
  await slow.query('commit');
  const first = await reading;
  expect(first.plan.window).toEqual({ column: 'id', low: null, high: '13' });
  expect(ids(first.rows)).toEqual(upTo(12));
  await db.sql(`insert into tickets (note) values ('later')`);
  const second = await read(tickets, 'id', '13');
  expect(ids(second.rows)).toEqual([13]);
  const third = await read(tickets, 'id', second.plan.window?.high ?? '');
  expect([third.plan.window, third.rows]).toEqual([{ column: 'id', low: '14', high: '14' }, []]);
});

test('the window ends where the oldest open transaction began, and says so when that is long ago', async () => {
  await db.sql(
    `create table visits (id int8 primary key, at timestamptz not null default now()); insert into visits values (1, now() - interval '1 hour')`,
  );
  const visits = shop().selection(table('visits', { id: int8(), at: timestamptz() }, { key: ['id'] }));
  await using open = await session();
  await open.query('begin');
  const { rows: began } = await open.query<{ now: string }>('select now()::text as now');
  await db.sql('insert into visits values (2)');
  const first = await read(visits, 'at', null);
  expect(ids(first.rows)).toEqual([1]);
  expect(new Date(first.plan.window?.high ?? '').getTime()).toBe(new Date(began[0]?.now ?? '').getTime());
  await open.query('insert into visits values (3)');
  await open.query('commit');
  expect(ids((await read(visits, 'at', first.plan.window?.high ?? null)).rows)).toEqual([2, 3]);
});

test('a lag leaves young rows for the next window', async () => {
  await db.sql(`create table clicks as select i::int8 as id, now() - (10 - i) * interval '10 minutes' as at from generate_series(1, 10) i`);
  const clicks = shop().selection(table('clicks', { id: int8().orNull(), at: timestamptz().orNull() }));
  expect(ids((await read(clicks, 'at', null, 25 * 60_000)).rows)).toEqual(upTo(7));
});

test('the watermark has all its digits, and a column with fewer decimals loses nothing to rounding', async () => {
  await db.sql(
    `create table fine (id int8, at timestamptz(6)); insert into fine values (1, '2024-01-01 00:00:00.123456+00'), (2, '2024-01-01 00:00:00.123457+00')`,
  );
  const fine = shop().selection(table('fine', { id: int8().orNull(), at: timestamptz().orNull() }));
  expect(ids((await read(fine, 'at', '2024-01-01 00:00:00.123457+00')).rows)).toEqual([2]);

  await db.sql(`create table coarse (id int8, at timestamptz(0) not null default now())`);
  const coarse = shop().selection(table('coarse', { id: int8().orNull(), at: timestamptz(0) }));
  const first = await read(coarse, 'at', null);
  await db.sql('insert into coarse values (1)');
  await pause(2200);
  const second = await read(coarse, 'at', first.plan.window?.high ?? null);
  expect(ids(second.rows)).toEqual([1]);
});

test('rows without a cursor come with the first window, and that they will not come again is said', async () => {
  await db.sql(`create table loose (id int8, at timestamptz); insert into loose values (1, now() - interval '1 day'), (2, null)`);
  const loose = shop().selection(table('loose', { id: int8().orNull(), at: timestamptz().orNull() }));
  const context = testContext();
  const first = await read(loose, 'at', null, 0, context);
  expect(ids(first.rows)).toEqual([1, 2]);
  expect(context.lines.join()).toMatch(/"at" may be NULL/);
  await db.sql('insert into loose values (3, null)');
  expect((await read(loose, 'at', first.plan.window?.high ?? null)).rows).toEqual([]);
});

test('timestamps without a zone, dates, scaled numerics, UUIDs and text each have a bound of their own kind', async () => {
  await db.sql(
    `create table kinds (id int8 not null, ts timestamp not null, day date not null, amount numeric(10, 2) not null, key uuid not null, code text collate "en-x-icu" not null)`,
  );
  await db.sql(
    `insert into kinds select i, '2024-01-01'::timestamp + i * interval '1 minute', '2024-01-01'::date + i, i * 1.5, lpad(i::text, 32, '0')::uuid, 'c' || lpad(i::text, 3, '0') from generate_series(1, 9) i`,
  );
  await db.sql(`insert into kinds values (10, '2024-01-02', current_date, 100.99, 'ffffffff-ffff-ffff-ffff-fffffffffffe', 'Z')`);
  const kinds = shop().selection(
    table('kinds', { id: int8(), ts: timestamp(), day: date(), amount: numeric(10, 2), key: uuid(), code: text() }),
  );
  const highs: Record<string, string> = {};
  for (const [column, expected] of [
    ['ts', 10],
    ['day', 9],
    ['amount', 10],
    ['key', 10],
    ['code', 10],
  ] as const) {
    const { plan, rows } = await read(kinds, column, null);
    highs[column] = plan.window?.high ?? '';
    expect([column, rows.length]).toEqual([column, expected]);
    expect((await read(kinds, column, highs[column])).rows.length).toBe(0);
  }
  expect(highs).toMatchObject({
    ts: '2024-01-02 00:00:00.000001',
    amount: '101.00',
    key: 'ffffffff-ffff-ffff-ffff-ffffffffffff',
    code: 'c009\u0001',
  });
  expect((await read(kinds, 'amount', '100.99')).rows).toHaveLength(1);
  expect((await read(kinds, 'code', 'c005')).rows).toHaveLength(5);
});

test('a table without rows has a window, and the first row later falls into the next', async () => {
  await db.sql('create table fresh (id int8 primary key, at timestamptz not null default now())');
  const fresh = shop().selection(table('fresh', { id: int8(), at: timestamptz() }, { key: ['id'] }));
  for (const column of ['id', 'at']) {
    const { plan, rows } = await read(fresh, column, null);
    expect(rows).toEqual([]);
    await db.sql('insert into fresh values (1) on conflict do nothing');
    expect(ids((await read(fresh, column, plan.window?.high ?? null)).rows)).toEqual([1]);
    await db.sql('truncate fresh');
  }
});

test('the greatest integer there is fits into a window', async () => {
  await db.sql(`create table edge (id int8); insert into edge values (9223372036854775807), (-9223372036854775808)`);
  const edge = shop().selection(table('edge', { id: int8().orNull() }));
  const { plan, rows } = await read(edge, 'id', null);
  expect(plan.window?.high).toBe('9223372036854775808');
  expect(rows).toHaveLength(2);
  expect((await read(edge, 'id', plan.window?.high ?? null)).rows).toEqual([]);
});

test('a window stays as it was for a later attempt', async () => {
  await db.sql(`create table held (id int8 primary key); insert into held select generate_series(1, 5)`);
  const held = shop().selection(table('held', { id: int8() }, { key: ['id'] }));
  const first = await read(held, 'id', null);
  await db.sql('insert into held values (6)');
  const again = await readAll(held, { since: { column: 'id', low: null, lagMs: 0 }, earlier: first.plan });
  expect(again.plan.window).toEqual(first.plan.window);
  expect(ids(again.rows)).toEqual(upTo(5));
});

test('a column that cannot tell new from old is refused', async () => {
  await db.sql('create table vague (id float8 not null, n numeric not null)');
  const vague = shop().selection(table('vague', { id: float8(), n: numeric() }));
  await expect(read(vague, 'id', null)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  await expect(read(vague, 'n', null)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
});

test('a small window on a large table is one read by its index', async () => {
  await db.sql(
    `create table history_rows as select i::int8 as id, '2024-01-01'::timestamptz + i * interval '1 second' as at, repeat('h', 100) as note from generate_series(1, 20000) i; create index on history_rows (at); analyze history_rows`,
  );
  const rows = shop().selection(table('history_rows', { id: int8().orNull(), at: timestamptz().orNull() }));
  const narrow = await read(rows, 'at', '2024-01-01 05:30:00+00');
  expect(narrow.plan.splits).toHaveLength(1);
  expect(narrow.rows).toHaveLength(201);
  expect((await read(rows, 'at', null)).plan.splits.length).toBeGreaterThan(5);
});

test.for([
  ['int8', '-1', '0'],
  ['int8', '9', '10'],
  ['numeric', '-0.01', '0.00'],
  ['numeric', '9.99', '10.00'],
  ['numeric', '-1.00', '-0.99'],
  ['uuid', '0000ffff-ffff-ffff-ffff-ffffffffffff', '00010000-0000-0000-0000-000000000000'],
] as const)('after the %s %s comes %s', ([kind, value, next]) => {
  expect(successor(kind === 'numeric' ? { kind, precision: 10, scale: 2 } : { kind }, value)).toBe(next);
});
