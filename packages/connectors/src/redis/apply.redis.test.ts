import type { ChangeGroup, ChangePart, SchemaChange } from '@millrace/core/runtime';
import { watchFailpoints } from '@millrace/core/testing';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type RedisServer, redisServer } from '../../../../test/redis-server.ts';
import { at, codeOf, following, group, insert, order, orders, remove, tables, update } from '../../test/cached-orders.ts';
import { type Change, groupOf, positionAt } from '../../test/hand-made.ts';
import { testContext } from '../../test/load.ts';
import { type ApplyOptions, redis } from './index.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await redisServer();
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(() => server.flush());

/** What the server answers, word by word. */
const words = async (...command: string[]): Promise<string[]> => {
  const lines = (await server.command(...command)).split('\r\n').slice(0, -1);
  return lines.filter((line) => !/^[$*]\d/.test(line));
};
const hash = async (key: string): Promise<Record<string, string>> => {
  const found = await words('HGETALL', key);
  return Object.fromEntries(Array.from({ length: found.length / 2 }, (_, place) => [found[2 * place], found[2 * place + 1]]));
};

test('a row is a hash without its NULLs, or an object, or a string; it expires where it is told to, and goes with its row', async () => {
  {
    await using sink = await following({ url: server.url, rows: [order(1), order(2, null)] });
    expect(await hash('orders:1')).toEqual({ id: '1', customer: 'ann', total: '1.50', at: '2026-03-29 02:00:00.123456+00' });
    expect(await hash('orders:2')).not.toHaveProperty('customer');
    await sink.apply(group(20, update(order(1, null)), remove(2)));
    expect(Object.keys(await hash('orders:1')).sort()).toEqual(['at', 'id', 'total']);
    expect(await words('EXISTS', 'orders:2')).toEqual([':0']);
  }
  await server.flush();
  {
    const apply: ApplyOptions = { tables: { orders: { key: 'order:<id>', as: 'json', columns: ['total'], ttl: '1h' } } };
    await using sink = await following({ url: server.url, apply, rows: [order(1)] });
    await sink.apply(group(20, insert(order(3))));
    for (const id of [1, 3]) {
      expect(await words('GET', `order:${id}`)).toEqual([`{"id":${id},"total":1.50}`]);
      expect(Number((await words('PTTL', `order:${id}`))[0]?.slice(1))).toBeGreaterThan(3_500_000);
    }
  }
  await server.flush();
  const apply: ApplyOptions = { tables: { orders: { key: 'customer-of:<id>', as: 'string', value: 'customer' } } };
  await using sink = await following({ url: server.url, apply, rows: [order(1), order(2, null)] });
  expect([await words('GET', 'customer-of:1'), await words('GET', 'customer-of:2')]).toEqual([['ann'], ['$-1']]);
  await sink.apply(group(20, update(order(1, null)), update(order(2, 'bob'))));
  expect([await words('GET', 'customer-of:1'), await words('GET', 'customer-of:2')]).toEqual([['$-1'], ['bob']]);
});

test('a row moves between sorted sets as its values do, and leaves them with its key', async () => {
  const sorted = [
    { key: 'orders-of:<customer>', score: 'total' },
    { key: 'latest-orders', score: 'at', member: 'order <id>' },
  ];
  const apply: ApplyOptions = { tables: { orders: { key: 'order:<id>', columns: ['customer', 'total', 'at'], sorted } } };
  const set = (name: string) => words('ZRANGE', name, '0', '-1', 'WITHSCORES');
  await using sink = await following({ url: server.url, apply, rows: [order(1), order(2, 'bob', '2.00'), order(3, 'ann', '0.50')] });
  expect([await set('orders-of:ann'), await set('orders-of:bob')]).toEqual([
    ['3', '0.5', '1', '1.5'],
    ['2', '2'],
  ]);
  expect((await set('latest-orders')).slice(0, 2)).toEqual(['order 1', String(Date.parse(at))]);
  await sink.apply(
    group(
      20,
      update(order(2, 'ann', '9.00')),
      update(order(1, 'ann', null)),
      update({ id: 30n, total: '3.00', at }, ['customer'], { id: 3n }),
    ),
  );
  expect([await set('orders-of:ann'), await set('orders-of:bob')]).toEqual([['30', '3', '2', '9'], []]);
  expect((await set('latest-orders')).filter((_, place) => place % 2 === 0)).toEqual(['order 1', 'order 2', 'order 30']);
  await sink.apply(group(24, { op: 'truncate', tables: ['orders'] }, insert(order(4, 'cy'))));
  expect([await words('KEYS', 'order*'), await set('latest-orders')]).toEqual([
    expect.arrayContaining(['order:4', 'orders-of:cy']),
    ['order 4', String(Date.parse(at))],
  ]);
  expect(await words('EXISTS', 'orders-of:ann', 'order:2')).toEqual([':0']);
});

test('a row that has expired stays away until it comes whole', async () => {
  const apply: ApplyOptions = { tables: { orders: { key: 'order:<id>', ttl: '1h' } } };
  await using sink = await following({ url: server.url, apply, rows: [order(1), order(2)] });
  await server.command('DEL', 'order:1', 'order:2');
  await sink.apply(group(20, update(order(1), ['customer']), update(order(2, 'bob'))));
  expect(await words('KEYS', 'order:*')).toEqual(['order:2']);
});

test('keys are only thrown away where somebody else fills them', async () => {
  for (const id of [1, 2, 3, 4]) await server.command('SET', `order:${id}`, 'of before');
  const apply: ApplyOptions = { mode: 'invalidate', tables: { orders: { key: 'order:<id>' } } };
  await using sink = await following({ url: server.url, apply });
  expect(await words('KEYS', 'order:*')).toEqual([]);
  for (const id of [1, 2, 3, 4]) await server.command('SET', `order:${id}`, 'read in');
  await sink.apply(group(20, update(order(1), ['customer']), remove(2), update(order(5), [], { id: 3n })));
  expect(await words('KEYS', 'order:*')).toEqual(['order:4']);
  const renamed: SchemaChange = {
    kind: 'schema',
    table: 'orders',
    schema: { ...orders, columns: orders.columns.map((column) => (column.name === 'total' ? { ...column, name: 'sum' } : column)) },
    changes: [{ change: 'rename', from: 'total', to: 'sum' }],
    transaction: 0,
    ordinal: 0,
  };
  await sink.apply({ ...group(24, remove(4)), parts: only(renamed) }); // no key has it
  expect(await words('KEYS', 'order:*')).toEqual(['order:4']);
  await sink.apply(group(28, { op: 'truncate', tables: ['orders'] }));
  expect(await words('KEYS', 'order:*')).toEqual([]);
});

async function* only(part: ChangePart): AsyncGenerator<ChangePart> {
  yield part;
}

const many = Array.from({ length: 6_000 }, (_, id) => order(id + 1));

test('a large transaction is promised in one act, and whoever comes next brings it to its end', async () => {
  const sink = await following({ url: server.url, rows: [order(9_001)] });
  for (const [round, point] of ['redis.promise.before', 'redis.promise.after', 'redis.log.worked'].entries()) {
    await using attempt = await following({ url: server.url, epoch: 2 + 2 * round });
    {
      using _ = watchFailpoints((name) => {
        if (name === point) throw new Error('died');
      });
      const ids = many.map((row) => ({ ...row, total: `${round}.00` }));
      await expect(
        attempt.apply(groupOf(tables, [{ at: 20 + 2 * round, changes: [...ids.map((row) => update(row)), remove(9_001)] }])),
      ).rejects.toThrow('died');
    }
    await using next = await following({ url: server.url, epoch: 3 + 2 * round });
    const reached = await next.flush();
    const isPromised = point !== 'redis.promise.before';
    expect(reached).toBe(positionAt(isPromised ? 21 + 2 * round : 16));
    expect((await hash('orders:6000'))['total']).toBe(isPromised ? `${round}.00` : undefined);
    expect(await words('EXISTS', 'orders:9001')).toEqual([isPromised ? ':0' : ':1']);
    expect((await words('KEYS', 'millrace:*')).sort()).toEqual(['millrace:{shop/cached}:shop/cached']);
    expect(await codeOf(attempt.apply(group(50, remove(1))))).toBe('ATTEMPT_FENCED');
  }
  expect(await codeOf(sink.apply(group(60, remove(1))))).toBe('ATTEMPT_FENCED');
  expect((await hash('orders:1'))['id']).toBe('1');
  await sink[Symbol.asyncDispose]();
});

test('what was applied before the answer was lost is not applied again', async () => {
  await using sink = await following({ url: server.url, rows: [order(1)] });
  {
    using _ = watchFailpoints((name) => {
      if (name === 'redis.act.after') throw new Error('died');
    });
    await expect(sink.apply(group(20, update(order(1, 'bob'))))).rejects.toThrow('died');
  }
  await using next = await following({ url: server.url, epoch: 2 });
  expect(await next.flush()).toBe(positionAt(21));
  await next.apply(group(24, remove(1)));
  // Of the same stream, once more: older than what is there.
  expect(await next.apply(group(20, update(order(1, 'bob'))))).toBe(positionAt(25));
  expect(await words('EXISTS', 'orders:1')).toEqual([':0']);
});

test('a cache that was emptied says so, and the next attempt begins anew', async () => {
  await using sink = await following({ url: server.url, rows: [order(1)] });
  await server.flush();
  expect(await codeOf(sink.apply(group(20, insert(order(2)))))).toBe('CACHE_LOST');
  expect(await words('KEYS', '*')).toEqual([]);
  await using next = await following({ url: server.url, epoch: 2, rows: [order(1), order(2)] });
  expect(await next.flush()).toBe(positionAt(16));
  expect((await words('KEYS', 'orders:*')).sort()).toEqual(['orders:1', 'orders:2']);
});

test('keys of somebody else are not overwritten, and those that only look alike stay', async () => {
  await server.command('SET', 'orders:1:lock', 'mine');
  await using sink = await following({ url: server.url, rows: [order(1)] });
  await sink.apply(group(20, { op: 'truncate', tables: ['orders'] }));
  expect(await words('KEYS', 'orders*')).toEqual(['orders:1:lock']);
  await server.flush();
  await server.command('SET', 'orders:7', 'mine');
  expect(await codeOf(following({ url: server.url }))).toBe('TARGET_NOT_EMPTY');
  expect(await words('GET', 'orders:7')).toEqual(['mine']);
  await server.flush();
  const sorted = [{ key: 'by-total', score: 'total' }];
  await using other = await following({ url: server.url, apply: { tables: { orders: { key: 'order:<id>', sorted } } } });
  await server.command('SET', 'by-total', 'mine');
  expect(await codeOf(other.apply(group(20, insert(order(1)))))).toBe('CHANGE_REFUSED');
  expect(await words('EXISTS', 'order:1')).toEqual([':0']);
  // What was refused has changed nothing, also not what the sink believes.
  await server.command('DEL', 'by-total');
  expect(await other.apply(group(20, insert(order(1))))).toBe(positionAt(21));
  expect(await words('ZRANGE', 'by-total', '0', '-1')).toEqual(['1']);
});

test('rows that take over from each other in one transaction are all in their sets', async () => {
  const apply: ApplyOptions = {
    tables: { orders: { key: 'order:<id>', sorted: [{ key: 'customers', score: 'id', member: '<customer>' }] } },
  };
  await using sink = await following({ url: server.url, apply, rows: [order(1, 'ann'), order(2, 'bob')] });
  await sink.apply(group(20, update(order(2, 'eve')), update(order(1, 'zoe')), update(order(2, 'ann')), insert(order(3, 'bob'))));
  expect(await words('ZRANGE', 'customers', '0', '-1', 'WITHSCORES')).toEqual(['zoe', '1', 'ann', '2', 'bob', '3']);
});

test('what has to be remembered of a transaction is its rows and not its changes', async () => {
  await using sink = await following({ url: server.url, rows: [order(1)], memoryBudget: 64 * 1024 });
  const often = Array.from({ length: 2_000 }, (_, count) => update(order(1, 'x'.repeat(100), `${count}.00`)));
  await sink.apply(group(20, ...often));
  expect((await hash('orders:1'))['total']).toBe('1999.00');
});

test('a transaction that is larger than memory is whole all the same, and what died in the middle of it leaves nothing', async () => {
  const sorted = [
    { key: 'orders-of:<customer>', score: 'total' },
    { key: 'all-orders', score: 'id' },
  ];
  const apply: ApplyOptions = { tables: { orders: { key: 'order:<id>', as: 'json', sorted } } };
  const part = (...changes: Change[]) => group(20, ...changes);
  const all = () => [
    part(update(order(1, 'bob'), ['total']), insert(order(3)), insert(order(4, 'cy', '4.00'))),
    part(update(order(3, 'eve'), ['total']), update({ id: 40n, customer: 'cy', at }, ['total'], { id: 4n }), remove(2)),
    part(update(order(1, 'zoe'), ['total'])),
  ];
  const emptied = () => [
    ...all(),
    part({ op: 'truncate', tables: ['orders'] }, insert(order(3, 'new', '9.00'))),
    part(update(order(3, 'last'), ['total'])),
  ];
  const inParts = (groups: readonly ChangeGroup[]): ChangeGroup => ({
    ...part(remove(1)),
    size: null,
    parts: (async function* () {
      for (const { parts } of groups) yield* parts;
    })(),
  });
  const state = async () => {
    const keys = (await words('KEYS', '*')).filter((key) => !key.startsWith('millrace:')).sort();
    return Promise.all(
      keys.map(async (key) => [key, await words(...(key.startsWith('order:') ? ['GET', key] : ['ZRANGE', key, '0', '-1', 'WITHSCORES']))]),
    );
  };
  for (const changes of [all, emptied]) {
    const outcomes: unknown[] = [];
    for (const memoryBudget of [1_000_000, 1]) {
      await server.flush();
      await using sink = await following({ url: server.url, apply, rows: [order(1), order(2, 'bob', '2.00')], memoryBudget });
      const before = await state();
      {
        using _ = watchFailpoints((name) => {
          if (/redis\.(promise|act)\.before/.test(name)) throw new Error('died');
        });
        await expect(sink.apply(inParts(changes()))).rejects.toThrow('died');
      }
      expect(await state()).toEqual(before);
      expect(await sink.apply(inParts(changes()))).toBe(positionAt(21));
      outcomes.push(await state());
      expect((await words('KEYS', 'millrace:*')).length).toBe(1);
    }
    expect(outcomes[1]).toEqual(outcomes[0]);
    if (changes === emptied)
      expect(outcomes[0]).toEqual([
        ['all-orders', ['3', '3']],
        ['order:3', [expect.stringContaining('"customer":"last","total":9.00')]],
        ['orders-of:last', ['3', '9']],
      ]);
  }
});

test('a column that the keys are made of cannot go', async () => {
  const apply: ApplyOptions = { tables: { orders: { key: 'order:<id>', sorted: [{ key: 'by-total', score: 'total' }] } } };
  await using sink = await following({ url: server.url, apply, rows: [order(1)] });
  const columns = orders.columns.filter(({ name }) => name !== 'total');
  const drop: SchemaChange = {
    kind: 'schema',
    table: 'orders',
    schema: { columns, key: ['id'] },
    changes: [{ change: 'drop', name: 'total' }],
    transaction: 0,
    ordinal: 0,
  };
  const altered = { ...group(20, remove(1)), parts: only(drop) };
  await expect(sink.apply(altered)).rejects.toMatchObject({ code: 'SCHEMA_CHANGED' });
  expect(await words('EXISTS', 'order:1')).toEqual([':1']);
});

test('what cannot be a target is refused by name', async () => {
  await using evicting = await redisServer({ settings: { 'maxmemory-policy': 'allkeys-lru' } });
  expect(await codeOf(following({ url: evicting.url }))).toBe('REDIS_UNSUITABLE');
  expect(await codeOf(following({ url: server.url, cluster: true }))).toMatch(/CONFIG_INVALID|CONNECTION_FAILED/);
  for (const url of ['http://cache', 'redis://:hidd%en@cache', 'redis://cache/shop']) {
    const error = await following({ url }).catch((error: Error) => error);
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.not.stringContaining('hidd') });
  }
  await using locked = await redisServer({ settings: { requirepass: 'p4ssw0rd' } });
  expect(await codeOf(following({ url: locked.url }))).toBe('AUTHENTICATION_FAILED');
  await using full = await redisServer({ settings: { maxmemory: '1mb', 'maxmemory-policy': 'noeviction' } });
  expect(await codeOf(following({ url: full.url }))).toBe('DISK_FULL');
  const [finding] = await redis({ url: locked.url.replace('//', '//:p4ssw0rd@') }).examine(testContext());
  expect(finding).toMatchObject({ level: 'ok', message: expect.stringContaining('noeviction') });
  expect(await redis({ url: locked.url.replace('//', '//:wr0ng@') }).examine(testContext())).toEqual([
    expect.objectContaining({ level: 'problem', subject: expect.not.stringContaining('wr0ng') }),
  ]);
});

test('a change is durable when enough replicas have it', async () => {
  await using primary = await redisServer({ settings: { 'repl-diskless-sync-delay': '0' } });
  await using sink = await following({ url: primary.url, replicas: 1, rows: [order(1)] });
  expect(await sink.apply(group(20, insert(order(2))))).toBe(positionAt(16));
  await using replica = await redisServer({ settings: { replicaof: `127.0.0.1 ${primary.port}` } });
  expect(await sink.flush()).toBe(positionAt(21));
  expect(await replica.command('EXISTS', 'orders:2')).toBe(':1\r\n');
});

test('what the declarations have against each other is said at once', () => {
  const problems = (options: ApplyOptions) =>
    redis({ url: server.url })
      .apply(options)
      .problems(tables)
      .map(({ message }) => message);
  expect(problems({})).toEqual([]);
  expect(problems({ tables: { others: { key: 'other:<id>' } } })).toEqual([expect.stringContaining('"others"')]);
  expect(problems({ tables: { orders: { key: 'order:<customer>' } } })).toEqual([
    expect.stringContaining('may be NULL'),
    expect.stringContaining('identified by id'),
  ]);
  expect(problems({ tables: { orders: { key: 'order:<id>', columns: ['total'], sorted: [{ key: 'by', score: 'customer' }] } } })).toEqual([
    expect.stringContaining('which is not kept'),
    expect.stringContaining('no number'),
  ]);
  expect(() =>
    redis({ url: server.url }).apply({ tables: { orders: { key: 'order:<id>', ttl: '1h', sorted: [{ key: 'by', score: 'total' }] } } }),
  ).toThrow(expect.objectContaining({ code: 'PIPELINE_INVALID' }));
});
