import { int8, numeric, table, text } from '@millrace/core';
import type { ChangeSink, StreamTables } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../../test/postgres.ts';
import { type Change, groupOf, positionAt, streamOf, type Transaction } from '../../../test/hand-made.ts';
import { batches, split, testContext } from '../../../test/load.ts';
import { applyTarget } from './apply-target.ts';
import type { ApplyOptions } from './settings.ts';

const orders = table('shop.orders', { id: int8(), total: numeric(12, 2), note: text().orNull() }, { key: ['id'] });
const tables = { orders };
const policy = { add: 'apply', drop: 'pause', rename: 'apply', retype: 'widen' } as const;

async function begun(db: TestDatabase, options: ApplyOptions = {}, streamed: StreamTables = tables, epoch = 1): Promise<ChangeSink> {
  const sink = await applyTarget({ settings: { url: db.url }, connector: 'postgres', label: 'test' }, options).open(testContext());
  await sink.begin(
    { owner: { pipeline: 'shop', step: 'mirrored' }, pipelineRun: 'run-1', tables: streamed, policy },
    { key: 'shop/mirrored', epoch },
  );
  return sink;
}

const order = (id: number, total = '1.00', note: string | null = null) => ({ id: BigInt(id), total, note });
const insert = (id: number, total?: string, note?: string | null): Change => ({
  op: 'insert',
  table: 'orders',
  row: order(id, total, note),
});
const rows = async (db: TestDatabase) =>
  (await db.sql('select id, total, note from shop.orders order by id')).map((row) => Object.values(row).join(' '));
const apply = (sink: ChangeSink, ...transactions: Transaction[]) => sink.apply(groupOf(tables, transactions));

test('a stream is copied, followed and applied, and comes back where it was', async () => {
  await using db = await testDatabase();
  {
    await using sink = await begun(db);
    await sink.follow(streamOf(), positionAt(5));
    await using copy = await sink.copy('orders', 'fresh');
    await Promise.all([copy.stage(split(0), batches(orders, [order(1), order(2)])), copy.stage(split(1), batches(orders, [order(3)]))]);
    await copy.finish(positionAt(5));
    const at = await apply(sink, {
      at: 10,
      changes: [
        insert(4),
        { op: 'update', table: 'orders', row: order(1, '9.00', 'changed') },
        { op: 'delete', table: 'orders', old: { id: 2n } },
        { op: 'update', table: 'orders', row: order(33, '3.00'), old: { id: 3n } },
      ],
    });
    expect(at).toBe(positionAt(11));
  }
  expect(await rows(db)).toEqual(['1 9.00 changed', '4 1.00 ', '33 3.00 ']);
  await using again = await applyTarget({ settings: { url: db.url }, connector: 'postgres', label: 'test' }, {}).open(testContext());
  const state = await again.begin(
    { owner: { pipeline: 'shop', step: 'mirrored' }, pipelineRun: 'run-2', tables, policy },
    { key: 'shop/mirrored', epoch: 2 },
  );
  expect(state).toEqual({ identity: streamOf(), position: positionAt(11), copied: { orders: positionAt(5) }, deadLetters: 0 });
});

test('a group that comes twice is applied once; groups without changes move the position about once a second', async () => {
  await using db = await testDatabase();
  await using sink = await begun(db);
  await sink.follow(streamOf(), positionAt(5));
  const group = () => groupOf(tables, [{ at: 10, changes: [insert(1), { op: 'update', table: 'orders', row: order(1, '2.00') }] }]);
  expect(await sink.apply(group())).toBe(positionAt(11));
  await db.sql('delete from shop.orders');
  expect(await sink.apply(group())).toBe(positionAt(11));
  expect(await rows(db)).toEqual([]);
  expect(await sink.apply(groupOf(tables, [], 20))).toBe(positionAt(11));
  expect(await sink.flush()).toBe(positionAt(20));
  expect(await db.sql('select position from _millrace.stream')).toEqual([{ position: positionAt(20) }]);
});

test('a reader never sees a part of a transaction', async () => {
  await using db = await testDatabase();
  await using sink = await begun(db);
  await sink.follow(streamOf(), positionAt(5));
  let done = false;
  const sums = new Set<string>();
  const reading = (async () => {
    while (!done)
      for (const row of await db.sql('select coalesce(sum(total), 0)::text as sum from shop.orders')) sums.add(row['sum'] as string);
  })();
  for (let at = 10; at < 40; at++) {
    // Each transaction moves money and makes none.
    const pair = [insert(at * 2, `${at}.00`), insert(at * 2 + 1, `-${at}.00`)];
    const moved: Change[] =
      at > 10
        ? [
            { op: 'update', table: 'orders', row: order(at * 2 - 2, '5.00') },
            { op: 'update', table: 'orders', row: order(at * 2 - 1, '-5.00') },
          ]
        : [];
    await apply(sink, { at, changes: [...pair, ...moved] });
  }
  done = true;
  await reading;
  expect([...sums].map(Number)).toEqual([0]);
});
