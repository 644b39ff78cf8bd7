import type { ChangePart, ChangeSink, Fence, SinkStream } from '@millrace/core/runtime';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type MemcachedServer, memcachedServer } from '../../../../test/memcached-server.ts';
import { codeOf, group, insert, order, orders, remove, tables, update } from '../../test/cached-orders.ts';
import { positionAt, streamOf } from '../../test/hand-made.ts';
import { batches, type Row, split, testContext } from '../../test/load.ts';
import { type ApplyOptions, keyOf, memcached } from './index.ts';

let [one, other]: MemcachedServer[] = [];
const both = (): readonly [MemcachedServer, MemcachedServer] => [one as MemcachedServer, other as MemcachedServer];
const url = (): string => `memcached://127.0.0.1:${both()[0].port},127.0.0.1:${both()[1].port}`;
beforeAll(async () => {
  [one, other] = await Promise.all([memcachedServer(), memcachedServer()]);
});
afterAll(() => Promise.all(both().map((server) => server[Symbol.asyncDispose]())));
beforeEach(() => Promise.all(both().map((server) => server.say('flush_all'))));

const fill = (...ids: number[]) => Promise.all(both().flatMap((server) => ids.map((id) => server.set(`order:${id}`, 'read in'))));
/** Which of these are there, on each node. */
const there = (...ids: number[]) =>
  Promise.all(both().map(async (server) => (await Promise.all(ids.map((id) => server.get(`order:${id}`)))).map((text) => text !== null)));
const stream: SinkStream = {
  owner: { pipeline: 'shop', step: 'cached' },
  pipelineRun: 'run',
  tables,
  policy: { add: 'apply', drop: 'pause', rename: 'apply', retype: 'widen' },
};
const fence = (epoch: number): Fence => ({ key: 'shop/cached', epoch });
const keyed: ApplyOptions = { tables: { orders: { key: 'order:<id>' } } };

/** An attempt that has taken over; where nobody remembers a stream it follows one. */
async function following(epoch: number, options: ApplyOptions = keyed, place = url(), rows: readonly Row[] = []): Promise<ChangeSink> {
  const sink = await memcached({ url: place }).apply(options).open(testContext());
  try {
    const { identity } = await sink.begin(stream, fence(epoch));
    if (identity !== null) return sink;
    await sink.follow(streamOf(), positionAt(16));
    await using copy = await sink.copy('orders', 'fresh', positionAt(16));
    await copy.stage(split(0), batches(orders, rows));
    await copy.finish(positionAt(16));
    return sink;
  } catch (error) {
    await sink[Symbol.asyncDispose]();
    throw error;
  }
}

test('keys of rows that change are deleted on every node, and the place moves after them', async () => {
  await fill(1, 2, 3, 4);
  await using sink = await following(1);
  expect(await there(1, 2, 3, 4)).toEqual([0, 1].map(() => [false, false, false, false])); // what was before the stream is as old as anything
  await fill(1, 2, 3, 4, 5);
  expect(await sink.apply(group(20, update(order(1), ['customer']), remove(2), update(order(5), [], { id: 3n })))).toBe(positionAt(21));
  expect(await there(1, 2, 3, 4, 5)).toEqual([0, 1].map(() => [false, false, false, true, false]));
  await fill(1);
  // Of the same stream, once more.
  expect(await sink.apply(group(20, remove(1)))).toBe(positionAt(21));
  expect(await there(1)).toEqual([[true], [true]]);
  expect(await sink.apply(group(24, { op: 'truncate', tables: ['orders'] }, insert(order(9))))).toBe(positionAt(25));
  expect(await there(1, 4, 9)).toEqual([0, 1].map(() => [false, false, false]));
});

test('copies of several tables may end at the same time', async () => {
  const more = { orders, others: orders };
  const sink = await memcached({ url: url() }).apply({}).open(testContext());
  await using _ = sink;
  await sink.begin({ ...stream, tables: more }, fence(1));
  await sink.follow(streamOf(), positionAt(16));
  const copies = await Promise.all(Object.keys(more).map((name) => sink.copy(name, 'fresh', positionAt(16))));
  await Promise.all(copies.map((copy) => copy.finish(positionAt(16))));
  await using next = await memcached({ url: url() }).apply({}).open(testContext());
  const { copied } = await next.begin({ ...stream, tables: more }, fence(2));
  expect(Object.keys(copied).sort()).toEqual(['orders', 'others']);
});

test('the next attempt goes on from where the nodes are, and the one before can do nothing any more', async () => {
  await using zombie = await following(1);
  await zombie.apply(group(20, remove(1)));
  await using next = await following(2);
  expect(await next.flush()).toBe(positionAt(21));
  await next.apply(group(24, remove(2)));
  expect(await codeOf(zombie.apply(group(28, remove(3))))).toBe('ATTEMPT_FENCED');
  expect(await codeOf(following(1))).toBe('ATTEMPT_FENCED');
  expect(await next.flush()).toBe(positionAt(25));
});

test('a node that does not remember is emptied, and the others go on; where none does, all begins anew', async () => {
  const [first, second] = both();
  {
    await using sink = await following(1);
    await sink.apply(group(20, remove(1)));
  }
  await fill(4);
  await second.say('delete millrace:shop/cached');
  {
    await using sink = await following(2);
    expect(await sink.flush()).toBe(positionAt(21));
    expect(await there(4)).toEqual([[true], [false]]);
    await fill(4);
    await second.restart();
    expect(await codeOf(sink.apply(group(24, remove(9))))).toBe('CONNECTION_FAILED');
  }
  {
    await using sink = await following(3);
    expect(await sink.flush()).toBe(positionAt(21));
    await fill(4);
    for (const node of both()) await node.say('delete millrace:shop/cached');
    expect(await codeOf(sink.apply(group(24, remove(9))))).toBe('CACHE_LOST');
  }
  await using sink = await following(4);
  expect(await sink.flush()).toBe(positionAt(16));
  expect(await there(4)).toEqual([[false], [false]]);
  expect(await first.get('millrace:shop/cached')).toEqual(await second.get('millrace:shop/cached'));
});

test('where nodes have come differently far, that which is behind counts', async () => {
  const [, second] = both();
  await using sink = await following(1);
  const behind = (await second.get('millrace:shop/cached')) as string;
  await sink.apply(group(20, remove(1)));
  await second.set('millrace:shop/cached', behind);
  await using next = await following(2);
  expect(await next.flush()).toBe(positionAt(16));
});

const written = (more: object = {}): ApplyOptions => ({ mode: 'write', tables: { orders: { key: 'order:<id>', ttl: '1h', ...more } } });

test('on one node each key is what its row is, or missing where not all of it is known', async () => {
  const [node] = both();
  const value = (id: number) => node.get(`order:${id}`).then((text) => JSON.parse(text ?? 'null'));
  await using sink = await following(1, written(), node.url, [order(1), order(2), order(3)]);
  expect(await value(1)).toEqual({ id: 1, customer: 'ann', total: 1.5, at: '2026-03-29 02:00:00.123456+00' });
  await sink.apply(group(20, update(order(1, 'bob')), remove(2), update(order(3), ['customer']), insert(order(4, 'ünï 😀\r\nEND'))));
  expect([(await value(1)).customer, await value(2), await value(3), (await value(4)).customer]).toEqual([
    'bob',
    null,
    null,
    'ünï 😀\r\nEND',
  ]);
  expect(await node.say('mg order:1 t')).toMatch(/^HD t3(600|59\d)\r\n/);
  const many = Array.from({ length: 5_000 }, (_, id) => insert(order(id + 10)));
  await sink.apply(group(24, ...many, remove(10)));
  expect([await value(10), (await value(11)).id, (await value(5_009)).id]).toEqual([null, 11, 5_009]);
  await sink.apply(group(28, { op: 'truncate', tables: ['orders'] }, insert(order(7))));
  expect([await value(11), (await value(7)).id]).toEqual([null, 7]);
  {
    // A look at a table that goes on changing is older than what is there.
    await using copy = await sink.copy('orders', 'beside', positionAt(29));
    await copy.stage(split(0), batches(orders, [order(7, 'old')]));
    await sink.apply(group(32, update(order(7, 'new'))));
    await copy.finish(positionAt(33));
  }
  expect(await value(7)).toBeNull();
  expect(await codeOf(sink.apply(group(36, insert(order(8, 'x'.repeat(2_000_000))))))).toBe('VALUE_UNREPRESENTABLE');
});

test('a string is the text of a column, and keys have neither blanks nor more than 250 bytes', async () => {
  const [node] = both();
  const options: ApplyOptions = { mode: 'write', tables: { orders: { key: 'of:<id>', as: 'string', value: 'customer', ttl: '60d' } } };
  await using sink = await following(1, options, node.url, [order(1), order(2, null)]);
  expect([await node.get('of:1'), await node.get('of:2')]).toEqual(['ann', null]);
  expect(await node.say('mg of:1 t')).toMatch(/^HD t518\d{4}\r\n/);
  await sink.apply(group(20, update(order(1, null))));
  expect(await node.get('of:1')).toBeNull();
  expect(keyOf('line:<a>', { a: 'x y:z\n' })).toBe('line:x%20y%3Az%0A');
});

test('columns that come and go matter only to keys that are written', async () => {
  const [node] = both();
  const drop = (table: typeof orders): ChangePart => ({
    kind: 'schema',
    table: 'orders',
    schema: { columns: table.columns.filter(({ name }) => name !== 'total'), key: ['id'] },
    changes: [{ change: 'drop', name: 'total' }],
    transaction: 0,
    ordinal: 0,
  });
  const altered = {
    ...group(20, remove(1)),
    parts: (async function* () {
      yield drop(orders);
    })(),
  };
  await using sink = await following(1);
  expect(await sink.apply(altered)).toBe(positionAt(21));
  await node.say('flush_all');
  await using writing = await following(2, written({ columns: ['total'] }), node.url);
  const again = {
    ...group(20, remove(1)),
    parts: (async function* () {
      yield drop(orders);
    })(),
  };
  expect(await codeOf(writing.apply(again))).toBe('SCHEMA_CHANGED');
});

test('what cannot be a target is refused by name', async () => {
  expect(await codeOf(following(1, written()))).toBe('CONFIG_INVALID');
  for (const place of ['redis://cache', 'memcached://:hidd%en@cache', 'memcached://a b', 'memcached://a/path']) {
    const error = await following(1, keyed, place).catch((error: Error) => error);
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.not.stringContaining('hidd') });
  }
  expect(await codeOf(following(1, keyed, 'memcached://127.0.0.1:1'))).toBe('CONNECTION_FAILED');
  const problems = (options: ApplyOptions) =>
    memcached({ url: url() })
      .apply(options)
      .problems(tables)
      .map(({ message }) => message);
  expect(problems({})).toEqual([]);
  expect(problems({ mode: 'write' })).toEqual([expect.stringContaining('for ever')]);
  expect(problems({ mode: 'write', ttl: '1h' })).toEqual([]);
  expect(problems({ tables: { others: { key: 'other:<id>' } } })).toEqual([expect.stringContaining('"others"')]);
  expect(problems({ tables: { orders: { key: 'order:<customer>' } } }).length).toBe(2);
  for (const wrong of [{ key: 'an order:<id>' }, { key: 'a:<id>', ttl: '10ms' }, { key: 'a:<id>', as: 'string' }] as const)
    expect(() => memcached({ url: url() }).apply({ tables: { orders: wrong } })).toThrow(
      expect.objectContaining({ code: 'PIPELINE_INVALID' }),
    );
});
