import {
  array,
  bool,
  bytea,
  date,
  enumeration,
  int4,
  int8,
  json,
  jsonb,
  numeric,
  table,
  text,
  timestamptz,
  uuid,
  varchar,
} from '@millrace/core';
import { isMillraceError, type Table } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../../test/postgres.ts';
import { batches, loadRows, type Row, type TestLoad, testContext } from '../../../test/load.ts';
import { type TableLoadOptions, tableTarget } from './table-target.ts';

const orders = table(
  'public.orders',
  { id: int8(), total: numeric(12, 2), note: text().orNull(), updated_at: timestamptz() },
  { key: ['id'] },
);

function into<T extends Table>(db: TestDatabase, target: T, options: TableLoadOptions) {
  return tableTarget({ settings: { url: db.url }, connector: 'postgres', label: 'test' }, target, options);
}

const order = (id: number, total = '1.00', note: string | null = null, day = '01'): Row => ({
  id: BigInt(id),
  total,
  note,
  updated_at: `2026-03-${day}T00:00:00.000000Z`,
});
const load = (db: TestDatabase, options: TableLoadOptions, spec: TestLoad, target: Table = orders) =>
  loadRows(into(db, target, options), spec);
const rows = async (db: TestDatabase, order = 'id') =>
  (await db.sql(`select id, total, note from orders order by ${order}`)).map((row) => Object.values(row).join(' '));
const code = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
    return 'nothing was thrown';
  } catch (error) {
    return isMillraceError(error) ? (error.code === 'STATEMENT_FAILED' ? error.message : error.code) : String(error);
  }
};

test('an append creates the table, adds rows and moves the checkpoint with them', async () => {
  await using db = await testDatabase();
  const receipt = await load(db, { mode: 'append', schema: 'create' }, { splits: [[order(1), order(2)], [order(3)]] });
  expect(receipt).toMatchObject({ loadId: 'load-1', rows: 3, changed: { inserted: 3 } });
  expect(await rows(db)).toEqual(['1 1.00 ', '2 1.00 ', '3 1.00 ']);
  expect(await db.sql('select load_id, checkpoint from _millrace.checkpoint')).toEqual([
    { load_id: 'load-1', checkpoint: { window: null, loadId: 'load-1' } },
  ]);
});

test.for(['append', 'merge', 'replace', 'history'] as const)('%s: the same load twice is applied once', async (mode) => {
  await using db = await testDatabase();
  for (const parallel of [false, true]) {
    const ids = mode === 'append' && parallel ? [3, 4] : [1, 2];
    const spec = { id: `load-${parallel}`, key: `k-${parallel}`, parallel, splits: ids.map((id) => [order(id)]) };
    const first = await load(db, { mode, schema: 'create' }, spec);
    const second = await load(db, { mode, schema: 'create' }, { ...spec, epoch: 2 });
    expect(second).toEqual(first);
    expect(await db.sql('select count(*)::int as n from _millrace.staged')).toEqual([{ n: 0 }]);
  }
  expect(await rows(db)).toHaveLength(mode === 'append' ? 4 : 2);
});

test('merge inserts, updates what has changed, leaves what is equal, and takes the last of a key', async () => {
  await using db = await testDatabase();
  const options = { mode: 'merge', schema: 'create' } as const;
  await load(db, options, { id: 'a', splits: [[order(1, '1.00'), order(2, '2.00', 'two'), order(3, '3.00')]] });
  const before = await db.sql('select id, xmin::text from orders order by id');
  const receipt = await load(db, options, {
    id: 'b',
    runAt: '2026-03-30',
    splits: [[order(2, '2.00', 'two'), order(3, '9.00'), order(3, '3.50', 'late'), order(4, '4.00')]],
  });
  expect(receipt.changed).toEqual({ inserted: 1, updated: 1, unchanged: 2 });
  expect(await rows(db)).toEqual(['1 1.00 ', '2 2.00 two', '3 3.50 late', '4 4.00 ']);
  expect((await db.sql('select id, xmin::text from orders order by id')).slice(0, 2)).toEqual(before.slice(0, 2));
});

test.for([false, true])('merge takes the row with the latest cursor, whatever the order of arrival (parallel: %s)', async (parallel) => {
  await using db = await testDatabase();
  const window = { column: 'updated_at', low: null, high: '2026-04-01' };
  const splits = [[order(1, '1.00', 'newest', '09'), order(1, '2.00', 'older', '05')], [order(1, '3.00', 'oldest', '01')]];
  await load(db, { mode: 'merge', schema: 'create' }, { window, parallel, splits });
  expect(await rows(db)).toEqual(['1 1.00 newest']);
});

test.for(['no key', 'partitioned'] as const)('merge works where no index can find a row: %s', async (kind) => {
  await using db = await testDatabase();
  await db.sql(
    `create table orders (id int8 not null, total numeric(12,2) not null, note text, updated_at timestamptz not null${kind === 'partitioned' ? ', primary key (id)) partition by hash (id)' : ')'}`,
  );
  if (kind === 'partitioned') await db.sql('create table orders_0 partition of orders for values with (modulus 1, remainder 0)');
  await load(db, { mode: 'merge' }, { id: 'a', splits: [[order(1), order(2)]] });
  const receipt = await load(db, { mode: 'merge' }, { id: 'b', splits: [[order(2, '5.00'), order(1), order(3)]] });
  expect(receipt.changed).toEqual({ inserted: 1, updated: 1, unchanged: 1 });
  expect(await rows(db)).toEqual(['1 1.00 ', '2 5.00 ', '3 1.00 ']);
});

test('merge sees a change that SQL calls equal: scale, json text, minus zero', async () => {
  await using db = await testDatabase();
  const odd = table('odd', { id: int4(), n: numeric(), j: json(), b: jsonb().orNull() }, { key: ['id'] });
  const options = { mode: 'merge', schema: 'create' } as const;
  await load(
    db,
    options,
    {
      id: 'a',
      splits: [
        [
          { id: 1, n: '1.0', j: '{"a":1}', b: null },
          { id: 2, n: '1', j: '1', b: '{"a": 1}' },
        ],
      ],
    },
    odd,
  );
  const receipt = await load(
    db,
    options,
    {
      id: 'b',
      splits: [
        [
          { id: 1, n: '1.00', j: '{"a": 1}', b: null },
          { id: 2, n: '1', j: '1', b: '{"a":1}' },
        ],
      ],
    },
    odd,
  );
  expect(receipt.changed).toEqual({ inserted: 0, updated: 1, unchanged: 1 });
  expect(await db.sql('select n, j::text from odd where id = 1')).toEqual([{ n: '1.00', j: '{"a": 1}' }]);
});

test('generated and identity columns: computed ones are left to the database, identities are written', async () => {
  await using db = await testDatabase();
  await db.sql(
    'create table g (id int8 generated always as identity primary key, price int4 not null, twice int4 generated always as (price * 2) stored)',
  );
  const declared = table('g', { id: int8(), price: int4(), twice: int4().orNull() }, { key: ['id'] });
  for (const mode of ['append', 'merge', 'replace'] as const) {
    await load(db, { mode }, { id: mode, splits: [[{ id: mode === 'append' ? 7n : 8n, price: 21, twice: 0 }]] }, declared);
  }
  expect(await db.sql('select * from g')).toEqual([{ id: '8', price: 21, twice: 42 }]);
});

test('an older attempt is refused once a newer one has begun, at its begin and at its commit', async () => {
  await using db = await testDatabase();
  for (const [id, parallel] of [false, true].entries()) {
    const target = into(db, orders, { mode: 'append', schema: 'create' });
    await using slow = await target.open(testContext());
    const spec = {
      id: `z${parallel}`,
      owner: { pipeline: 'p', step: 's' },
      run: 'r',
      runAt: '1',
      schema: orders,
      window: null,
      files: [],
      plan: null,
      parallel,
    };
    await using zombie = await slow.begin(spec, { key: `k${parallel}`, epoch: 1 });
    const part = await zombie.stage({ id: 's0', estimate: { rows: null, bytes: null }, where: {} }, batches(orders, [order(id)]));
    await load(
      db,
      { mode: 'append', schema: 'create' },
      { id: `z${parallel}`, key: `k${parallel}`, epoch: 2, parallel, step: 's', splits: [[order(id)]] },
    );
    expect(['ATTEMPT_FENCED', 'CONNECTION_FAILED']).toContain(await code(zombie.commit([part], { window: null, loadId: 'x' })));
    expect(
      await code(
        load(db, { mode: 'append', schema: 'create' }, { id: 'other', key: `k${parallel}`, epoch: 1, parallel, splits: [[order(1)]] }),
      ),
    ).toBe('ATTEMPT_FENCED');
  }
  expect(await rows(db)).toHaveLength(2);
});

test('two loads of one window at once: one is applied, the other finds it moved', async () => {
  await using db = await testDatabase();
  await db.sql('create table orders (id int8 not null, total numeric(12,2) not null, note text, updated_at timestamptz not null)');
  const window = { column: 'updated_at', low: null, high: '2026-04-01' };
  const outcomes = await Promise.all(
    [1, 2, 3].map((at) => code(load(db, { mode: 'append' }, { id: `w${at}`, key: `k${at}`, window, splits: [[order(1), order(2)]] }))),
  );
  expect(outcomes.sort()).toEqual(['CHECKPOINT_MOVED', 'CHECKPOINT_MOVED', 'nothing was thrown']);
  expect(await rows(db)).toHaveLength(2);
});

test('a window must begin where the last one ended, and an older full load does not follow a newer one', async () => {
  await using db = await testDatabase();
  const window = (low: string | null, high: string) => ({ column: 'updated_at', low, high });
  const options = { mode: 'append', schema: 'create' } as const;
  await load(db, options, { id: '1', window: window(null, 'b'), splits: [[order(1)]] });
  await load(db, options, { id: '2', window: window('b', 'c'), splits: [[order(2)]] });
  expect(await code(load(db, options, { id: '3', window: window('b', 'd'), splits: [[order(3)]] }))).toBe('CHECKPOINT_MOVED');
  await load(db, { mode: 'replace' }, { id: '4', step: 'full', runAt: '2026-03-30', splits: [[order(9)]] });
  expect(await code(load(db, { mode: 'replace' }, { id: '5', step: 'full', runAt: '2026-03-29', splits: [[order(8)]] }))).toBe(
    'CHECKPOINT_MOVED',
  );
  expect(await rows(db)).toEqual(['9 1.00 ']);
  await load(db, options, { id: '6', window: window(null, 'e'), fullRefresh: true, splits: [[order(5)]] });
  expect(await rows(db)).toEqual(['5 1.00 ']);
});

test('history keeps each version with its time, once, and closes what is gone where asked', async () => {
  await using db = await testDatabase();
  const options = { mode: 'history', schema: 'create', history: { deletes: 'close' } } as const;
  const at = (day: string, id: string, list: Row[]) =>
    load(db, options, { id, runAt: day, context: testContext(`${day}T00:00:00.000Z`), splits: [list] });
  const versions = async () =>
    (
      await db.sql(
        `select id, total, to_char(valid_from, 'DD') f, to_char(valid_to, 'DD') t, is_current c from orders order by id, valid_from`,
      )
    ).map((row) => `${row['id']} ${row['total']} ${row['f']}-${row['t'] ?? ''} ${row['c']}`);
  await at('2026-03-01', 'a', [order(1), order(2)]);
  await at('2026-03-02', 'b', [order(1), order(2, '2.00')]);
  await at('2026-03-02', 'c', [order(1), order(2, '2.50'), order(2, '2.60')]);
  await at('2026-03-03', 'd', [order(2, '2.60'), order(3)]);
  await at('2026-03-04', 'e', [order(1), order(2, '2.60'), order(3)]);
  expect(await versions()).toEqual(['1 1.00 01-03 false', '1 1.00 04- true', '2 1.00 01-02 false', '2 2.60 02- true', '3 1.00 03- true']);
  expect(await code(at('2026-03-02', 'f', [order(1, '7.00')]))).toBe('CHECKPOINT_MOVED');
});

test('strict names every difference at once; evolve adds and widens, and never narrows', async () => {
  await using db = await testDatabase();
  await db.sql(
    `create type mood as enum ('sad', 'glad'); create table m (id int4 primary key, name varchar(5) not null, feeling mood, extra text)`,
  );
  const declared = table(
    'm',
    { id: int8(), name: text().orNull(), feeling: enumeration('mood', ['sad', 'calm', 'glad', 'wild']), seen: date().orNull() },
    { key: ['id'] },
  );
  const strict = load(db, { mode: 'append' }, { splits: [[]] }, declared);
  await expect(strict).rejects.toMatchObject({ code: 'SCHEMA_DRIFT', facts: { columns: ['id', 'name', 'name', 'feeling', 'seen'] } });
  await load(
    db,
    { mode: 'append', schema: 'evolve' },
    { splits: [[{ id: 2n ** 40n, name: 'a long name', feeling: 'calm', seen: '2026-01-01' }]] },
    declared,
  );
  expect(await db.sql('select id, name, feeling::text, seen::text, extra from m')).toEqual([
    { id: String(2n ** 40n), name: 'a long name', feeling: 'calm', seen: '2026-01-01', extra: null },
  ]);
  const narrow = table('m', { id: int4(), name: varchar(3) }, { key: ['id'] });
  await load(db, { mode: 'append', schema: 'evolve' }, { id: 'n', splits: [[{ id: 1, name: 'abc' }]] }, narrow);
  expect(
    await db.sql(
      `select format_type(atttypid, atttypmod) as type from pg_attribute where attrelid = 'm'::regclass and attname in ('id', 'name') order by attname`,
    ),
  ).toEqual([{ type: 'bigint' }, { type: 'text' }]);
  const other = table('m', { id: bool(), name: text() }, { key: ['id'] });
  expect(await code(load(db, { mode: 'append', schema: 'evolve' }, { id: 'o', splits: [[]] }, other))).toBe('SCHEMA_DRIFT');
});

test('a missing table is an error unless it may be created', async () => {
  await using db = await testDatabase();
  expect(await code(load(db, { mode: 'append' }, { splits: [[order(1)]] }))).toBe('TABLE_MISSING');
});

test('names that want to be SQL are names', async () => {
  await using db = await testDatabase();
  const evil = `x"; drop table t; --`;
  const hostile = table(
    `"s""; drop schema public; --"."${evil.replaceAll('"', '""')}"`,
    { [evil]: int4(), "o'clock": text(), mood: enumeration(`"m""; --"`, [`it's "x"`, '\\']) },
    { key: [evil] },
  );
  for (const mode of ['append', 'merge', 'replace', 'history'] as const) {
    for (const parallel of [false, true]) {
      const name = mode === 'history' ? table(`h${parallel}`, hostile.declared, { key: [evil] }) : hostile;
      await load(
        db,
        { mode, schema: 'create' },
        { id: `${mode}${parallel}`, parallel, splits: [[{ [evil]: mode === 'append' && parallel ? 2 : 1, "o'clock": "'", mood: '\\' }]] },
        name,
      );
    }
  }
  expect(await db.sql(`select * from "s""; drop schema public; --"."x""; drop table t; --"`)).toEqual([
    { [evil]: 1, "o'clock": "'", mood: '\\' },
  ]);
});

test('every column type arrives by batches as by bytes', async () => {
  await using db = await testDatabase();
  const wide = table(
    'w',
    {
      id: int4(),
      b: bool(),
      raw: bytea(),
      u: uuid(),
      tags: array(text()),
      big: array(int8()).orNull(),
      v: varchar(3),
      mood: array(enumeration('feel', ['a', 'b'])).orNull(),
    },
    { key: ['id'] },
  );
  const row = {
    id: 1,
    b: true,
    raw: Buffer.from([0, 255]),
    u: '00000000-0000-0000-0000-000000000001',
    tags: ['a', null, ''],
    big: [2n ** 62n],
    v: 'abc',
    mood: ['a', null],
  };
  await load(db, { mode: 'merge', schema: 'create' }, { splits: [[row]] }, wide);
  expect(await db.sql(`select id, b, raw::text, u, tags, big::text, v, mood::text from w`)).toEqual([
    { id: 1, b: true, raw: '\\x00ff', u: row.u, tags: ['a', null, ''], big: '{4611686018427387904}', v: 'abc', mood: '{a,NULL}' },
  ]);
});
