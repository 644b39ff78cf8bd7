import { int4, int8, table, text } from '@millrace/core';
import { type ChangeSink, isMillraceError, type StreamTables } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../../test/postgres.ts';
import { type Change, groupOf, positionAt, streamOf, type Transaction } from '../../../test/hand-made.ts';
import { testContext } from '../../../test/load.ts';
import { applyTarget } from './apply-target.ts';
import { replayDeadLetters } from './replay-dead-letters.ts';
import type { ApplyOptions } from './settings.ts';

const customers = table('shop.customers', { id: int8(), name: text().orNull() }, { key: ['id'] });
const orders = table('shop.orders', { id: int8(), customer: int8(), code: int4().orNull(), note: text().orNull() }, { key: ['id'] });
const tables: StreamTables = { orders, customers };
const owner = { pipeline: 'shop', step: 'mirrored' };

async function begun(db: TestDatabase, options: ApplyOptions = {}, url = db.url): Promise<ChangeSink> {
  const sink = await applyTarget({ settings: { url }, connector: 'postgres', label: 'test' }, options).open(testContext());
  const policy = { add: 'apply', drop: 'pause', rename: 'apply', retype: 'widen' } as const;
  const epoch = Date.now();
  const state = await sink.begin({ owner, pipelineRun: 'run-1', tables, policy }, { key: 'shop/mirrored', epoch });
  if (state.position === null) await sink.follow(streamOf(), positionAt(1));
  return sink;
}

const order = (id: number, code: number | null = null, note: string | null = null, customer = 1) => ({
  id: BigInt(id),
  customer: BigInt(customer),
  code,
  note,
});
const insert = (...row: Parameters<typeof order>): Change => ({ op: 'insert', table: 'orders', row: order(...row) });
const update = (row: ReturnType<typeof order>, unchanged: string[] = []): Change => ({ op: 'update', table: 'orders', row, unchanged });
const remove = (id: number): Change => ({ op: 'delete', table: 'orders', old: { id: BigInt(id) } });
const apply = (sink: ChangeSink, ...transactions: Transaction[]) => sink.apply(groupOf(tables, transactions));
const rows = async (db: TestDatabase) =>
  (await db.sql('select id, code, note from shop.orders order by id')).map((row) => Object.values(row).join(' '));
const letters = async (db: TestDatabase) =>
  (
    await db.sql(
      'select kind, key, position, ordinal, replayed_at is not null r, superseded_at is not null s from _millrace.dead_letter order by id',
    )
  ).map(
    (row) =>
      `${row['kind']} ${row['key']} ${Number.parseInt(row['position'], 16)}/${row['ordinal']}${row['r'] ? ' replayed' : ''}${row['s'] ? ' superseded' : ''}`,
  );

test('unique values that change places within a group are applied in the order of the source', async () => {
  await using db = await testDatabase();
  await using sink = await begun(db);
  await db.sql('create unique index on shop.orders (code)');
  await apply(sink, { at: 10, changes: [insert(1, 1), insert(2, 2)] });
  await apply(sink, { at: 20, changes: [update(order(1, 3)), update(order(2, 1)), update(order(1, 2)), remove(2), insert(4, 1)] });
  expect(await rows(db)).toEqual(['1 2 ', '4 1 ']);
});

test('a change that a table refuses stops the stream, and says which it is; nothing of its transaction is there', async () => {
  await using db = await testDatabase();
  await using sink = await begun(db);
  await db.sql('alter table shop.orders add check (code <> 13)');
  await apply(sink, { at: 10, changes: [insert(1, 1)] });
  const refused = await apply(sink, { at: 20, changes: [insert(2, 2)] }, { at: 30, changes: [insert(3, 3), update(order(1, 13))] }).catch(
    (error: unknown) => error,
  );
  expect(isMillraceError(refused) && refused).toMatchObject({
    code: 'CHANGE_REFUSED',
    facts: { table: 'shop.orders', key: 'id = 1', position: positionAt(30), sqlstate: '23514' },
  });
  expect((refused as Error).message).toMatch(/shop\.orders refuses the change of id = 1 .*orders_code_check/);
  expect(await rows(db)).toEqual(['1 1 ']);
  await db.sql('alter table shop.orders drop constraint orders_code_check');
  expect(await apply(sink, { at: 20, changes: [insert(2, 2)] }, { at: 30, changes: [insert(3, 3), update(order(1, 13))] })).toBe(
    positionAt(31),
  );
  expect(await rows(db)).toEqual(['1 13 ', '2 2 ', '3 3 ']);
});

test('dead letters are set aside in the transaction that goes on without them, counted, superseded and replayed', async () => {
  await using db = await testDatabase();
  {
    await using sink = await begun(db, { poison: 'dead-letter' });
    await db.sql('alter table shop.orders add check (code <> 13)');
    await apply(
      sink,
      { at: 10, changes: [insert(1, 1), insert(2, 13, 'two'), insert(3, 3)] },
      { at: 20, changes: [update(order(2, 4), ['note']), update(order(3, 13)), insert(5, 13), insert(6, 13)] },
    );
    expect(await rows(db)).toEqual(['1 1 ', '3 3 ']);
    expect(await letters(db)).toEqual([
      'insert {"id":"2"} 10/1',
      'update {"id":"2"} 20/0',
      'update {"id":"3"} 20/1',
      'insert {"id":"5"} 20/2',
      'insert {"id":"6"} 20/3',
    ]);
    await apply(sink, { at: 30, changes: [update(order(3, 5)), remove(6)] });
  }
  {
    await using sink = await applyTarget({ settings: { url: db.url }, connector: 'postgres', label: 'test' }, {}).open(testContext());
    const policy = { add: 'apply', drop: 'pause', rename: 'apply', retype: 'widen' } as const;
    const state = await sink.begin({ owner, pipelineRun: 'r', tables, policy }, { key: 'shop/mirrored', epoch: Date.now() + 5 });
    expect(state.deadLetters).toBe(5);
  }
  expect(await rows(db)).toEqual(['1 1 ', '3 5 ']);
  expect(await replayDeadLetters({ url: db.url }, testContext(), owner)).toEqual({ replayed: 0, refused: 3 });
  await db.sql('alter table shop.orders drop constraint orders_code_check');
  expect(await replayDeadLetters({ url: db.url }, testContext(), owner)).toEqual({ replayed: 3, refused: 0 });
  expect(await replayDeadLetters({ url: db.url }, testContext(), owner)).toEqual({ replayed: 0, refused: 0 });
  expect(await rows(db)).toEqual(['1 1 ', '2 4 two', '3 5 ', '5 13 ']);
  expect(await letters(db)).toEqual([
    'insert {"id":"2"} 10/1 replayed',
    'update {"id":"2"} 20/0 replayed',
    'update {"id":"3"} 20/1 superseded',
    'insert {"id":"5"} 20/2 replayed',
    'insert {"id":"6"} 20/3 superseded',
  ]);
});

test('hundreds of poison rows among thousands are all set aside, and the others are there', async () => {
  await using db = await testDatabase();
  await using sink = await begun(db, { poison: 'dead-letter' });
  await db.sql('alter table shop.orders add check (code % 10 <> 3)');
  await apply(sink, { at: 10, changes: Array.from({ length: 600 }, (_, id) => insert(id, id)) });
  expect(await db.sql('select count(*)::int n, count(*) filter (where code % 10 = 3)::int bad from shop.orders')).toEqual([
    { n: 540, bad: 0 },
  ]);
  expect(await db.sql('select count(*)::int n from _millrace.dead_letter')).toEqual([{ n: 60 }]);
});

test('an insert that meets a row, and a full update that meets none, leave the row as it is at the source', async () => {
  await using db = await testDatabase();
  await using sink = await begun(db);
  await db.sql(`insert into shop.orders values (1, 1, 99, 'stranger'), (2, 1, 98, 'stranger')`);
  await apply(sink, { at: 10, changes: [insert(1, 1), ...Array.from({ length: 600 }, (_, id) => insert(100 + id))] });
  await apply(sink, { at: 20, changes: [update(order(3, 3, 'three')), update(order(2, 2))] });
  expect((await rows(db)).slice(0, 3)).toEqual(['1 1 ', '2 2 ', '3 3 three']);
});

const roleOf = async (db: TestDatabase): Promise<string> => {
  await db.sql(`do $$ begin create role lodger login password 'x'; exception when duplicate_object then null; end $$`);
  await db.sql(`grant create on database ${db.name} to lodger; grant create, usage on schema public to lodger`);
  return db.url.replace(/\/\/[^@]+@/, '//lodger:x@');
};

test.for([true, false])('children may come before their parents and leave after them (as replica: %s)', async (asReplica) => {
  await using db = await testDatabase();
  const url = asReplica ? db.url : await roleOf(db);
  await using sink = await begun(db, {}, url);
  await db.sql('alter table shop.orders add foreign key (customer) references shop.customers (id)');
  const customer = (id: number): Change => ({ op: 'insert', table: 'customers', row: { id: BigInt(id), name: `c${id}` } });
  await apply(sink, { at: 10, changes: [customer(1), insert(1, 1, null, 1), customer(2), insert(2, 2, null, 2)] });
  await apply(sink, {
    at: 20,
    changes: [
      remove(1),
      { op: 'delete', table: 'customers', old: { id: 1n } },
      customer(3),
      update(order(2, 2, 'moved', 3)),
      { op: 'delete', table: 'customers', old: { id: 2n } },
      customer(1),
      insert(1, 7, null, 1),
    ],
  });
  expect(await rows(db)).toEqual(['1 7 ', '2 2 moved']);
  expect(await db.sql('select id::int from shop.customers order by id')).toEqual([{ id: 1 }, { id: 3 }]);
  await apply(sink, { at: 30, changes: [{ op: 'truncate', tables: ['orders', 'customers'] }, customer(5)] });
  await apply(sink, { at: 40, changes: [{ op: 'truncate', tables: ['customers'] }] });
  expect(await db.sql('select count(*)::int n from shop.customers')).toEqual([{ n: 0 }]);
});

test('without the right to act as a replica, a row without its parent is refused by name', async () => {
  await using db = await testDatabase();
  await using sink = await begun(db, {}, await roleOf(db));
  await db.sql('alter table shop.orders add foreign key (customer) references shop.customers (id)');
  await expect(apply(sink, { at: 10, changes: [insert(1, 1, null, 42)] })).rejects.toMatchObject({
    code: 'CHANGE_REFUSED',
    facts: { table: 'shop.orders', key: 'id = 1', sqlstate: '23503' },
  });
});
