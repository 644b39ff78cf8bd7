import { int4, table, text } from '@millrace/core';
import { watchFailpoints } from '@millrace/core/testing';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type RedisServer, redisServer } from '../../../../test/redis-server.ts';
import { loadRows, specOf, testContext } from '../../test/load.ts';
import { type KeysOptions, redis } from './index.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await redisServer();
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(() => server.flush());

const schema = table('users', { id: int4(), name: text().orNull(), score: int4().orNull() }, { key: ['id'] });
const user = (id: number, name: string | null = `n${id}`, score: number | null = id) => ({ id, name, score });
const keys = (options: Partial<KeysOptions> = {}) => redis({ url: server.url }).keys({ key: 'user:<id>', ...options });
const words = async (...command: string[]): Promise<string[]> =>
  (await server.command(...command))
    .split('\r\n')
    .slice(0, -1)
    .filter((line) => !/^[$*]\d/.test(line));
const window = (low: string | null, high: string) => ({ column: 'id', low, high });

test('rows take the places of those that are there, or of all of them, in one act', async () => {
  await loadRows(keys(), { schema, splits: [[user(1), user(2)]] });
  await loadRows(keys(), { schema, id: 'l2', epoch: 2, splits: [[user(2, null), user(3)]] });
  expect((await words('KEYS', 'user:*')).sort()).toEqual(['user:1', 'user:2', 'user:3']);
  expect(await words('HGETALL', 'user:2')).toEqual(['id', '2', 'score', '2']);
  await loadRows(keys({ mode: 'replace' }), { schema, id: 'l3', epoch: 3, splits: [[user(3, 'last')]] });
  expect(await words('KEYS', 'user:*')).toEqual(['user:3']);
  expect((await words('KEYS', 'millrace:*')).length).toBe(1);
});

test('a string that has become NULL has no key any more', async () => {
  const names = keys({ as: 'string', value: 'name' });
  await loadRows(names, { schema, splits: [[user(1), user(2)]] });
  await loadRows(names, { schema, id: 'l2', epoch: 2, splits: [[user(1, null), user(3)]] });
  expect(await words('MGET', 'user:1', 'user:2', 'user:3')).toEqual(['$-1', 'n2', 'n3']);
});

test('time runs from when a key is there, however long the load takes', async () => {
  const short = keys({ as: 'json', ttl: '400ms' });
  const receipt = await loadRows(short, {
    schema,
    splits: [[user(1)], [user(2)]],
    channel: (schema, rows) => ({
      format: 'batches',
      schema,
      batches: (async function* () {
        const { batchOfRows } = await import('@millrace/core/runtime');
        yield batchOfRows(schema, rows);
        await new Promise((resolve) => setTimeout(resolve, 300));
      })(),
    }),
  });
  expect(receipt.rows).toBe(2);
  expect((await words('KEYS', 'user:*')).length).toBe(2);
  await expect.poll(() => words('KEYS', 'user:*')).toEqual([]);
});

test('sorted sets follow merges and replacements', async () => {
  const sorted = keys({ sorted: [{ key: 'scores', score: 'score' }] });
  await loadRows(sorted, { schema, splits: [[user(1), user(2), user(3)]] });
  await loadRows(sorted, { schema, id: 'l2', epoch: 2, splits: [[user(1, 'x', 9), user(2, 'x', null)]] });
  expect(await words('ZRANGE', 'scores', '0', '-1', 'WITHSCORES')).toEqual(['3', '3', '1', '9']);
  await loadRows(sorted, { schema, id: 'l3', epoch: 3, fullRefresh: true, splits: [[user(4)]] });
  expect(await words('ZRANGE', 'scores', '0', '-1', 'WITHSCORES')).toEqual(['4', '4']);
});

test('a row without a key is set aside, or stops the load', async () => {
  const named = keys({ key: 'user:<name>' });
  await expect(loadRows(named, { schema, splits: [[user(1), user(2, null)]] })).rejects.toMatchObject({ code: 'TYPE_MISMATCH' });
  expect(await words('KEYS', 'user:*')).toEqual([]);
  const rejected: unknown[] = [];
  const splits = [[user(1), user(2, null), user(3)]];
  const receipt = await loadRows(named, { schema, epoch: 2, splits, reject: ({ ordinal }) => rejected.push(ordinal) });
  expect([receipt.rows, rejected, (await words('KEYS', 'user:*')).sort()]).toEqual([2, [1], ['user:n1', 'user:n3']]);
});

test('a large load is there when it is promised; what an attempt leaves, the next one ends or throws away', async () => {
  const many = Array.from({ length: 10_100 }, (_, id) => user(id));
  const load = (epoch: number, id: string, of = window(null, '5'), rows = [user(10_099)]) =>
    loadRows(keys(), { schema, id, epoch, window: of, splits: [rows] });
  for (const [point, isThere] of [
    ['redis.promise.before', false],
    ['redis.promise.after', true],
  ] as const) {
    await server.flush();
    {
      using _ = watchFailpoints((name) => {
        if (name === point) throw new Error('died');
      });
      await expect(load(1, 'l1', window(null, '5'), many)).rejects.toThrow('died');
    }
    await using sink = await keys().open(testContext());
    // Before anybody has taken over.
    expect((await sink.checkpoint({ pipeline: 'nightly', step: 'facts' }))?.loadId ?? null).toBe(isThere ? 'l1' : null);
    const { spec, fence } = specOf(keys(), { schema, id: 'l1', epoch: 2, splits: [] });
    await using next = await sink.begin(spec, fence);
    expect(next.applied?.rows ?? null).toBe(isThere ? 10_100 : null);
    expect(await words('EXISTS', 'user:10099')).toEqual([isThere ? ':1' : ':0']);
    if (isThere) await load(3, 'l2', window('5', '9'));
    else await load(3, 'l1');
    expect(await words('EXISTS', 'user:10099')).toEqual([':1']);
  }
  await expect(load(4, 'l3', window('5', '7'))).rejects.toMatchObject({ code: 'CHECKPOINT_MOVED' });
  await server.flush();
  await expect(load(5, 'l4', window('9', '12'))).rejects.toMatchObject({ code: 'CACHE_LOST' });
});

test('an attempt that was followed by another changes nothing', async () => {
  await using sink = await keys().open(testContext());
  const { spec, fence, checkpoint } = specOf(keys(), { schema, splits: [], epoch: 1 });
  await using zombie = await sink.begin(spec, fence);
  await loadRows(keys(), { schema, id: 'load-1', epoch: 2, splits: [[user(1, 'new')]] });
  await expect(zombie.commit([], checkpoint)).rejects.toMatchObject({ code: 'ATTEMPT_FENCED' });
  const older = { schema, id: 'load-0', key: 'run-0/load', runAt: '2026-03-28T02:00:00.000Z', splits: [[user(1, 'older')]] };
  await expect(loadRows(keys(), older)).rejects.toMatchObject({ code: 'ATTEMPT_FENCED' });
  expect(await words('HGET', 'user:1', 'name')).toEqual(['new']);
});
