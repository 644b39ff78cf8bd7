import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { capture, int4, load, pipeline, table, text } from '@millrace/core';
import { compile, type PlanStage, runStage } from '@millrace/core/runtime';
import { Choices, seeded, watchFailpoints } from '@millrace/core/testing';
import { expect, test } from 'vitest';
import { type RedisServer, redisServer } from '../../../test/redis-server.ts';
import { dynamodb } from '../src/dynamodb/index.ts';
import { redis } from '../src/redis/index.ts';
import { codeOf } from './cached-orders.ts';
import { type FakeStreams, fakeStreams } from './fake-streams.ts';

const columns = { id: int4(), note: text().orNull() };
const tables = { orders: table('orders', columns, { key: ['id'] }), carts: table('carts', columns, { key: ['id'] }) };
const names = Object.keys(tables) as (keyof typeof tables)[];

/** One attempt at bringing the cache to where the tables are. */
async function followOnce(fake: FakeStreams, cache: RedisServer, epoch: number): Promise<void> {
  const spool = mkdtempSync(join(tmpdir(), 'millrace-items-'));
  const changes = capture(dynamodb(fake.settings), { tables, pollMs: 1 });
  const made = pipeline({ name: 'p', steps: { changes, cached: load(changes, redis({ url: cache.url }).apply({ as: 'json' })) } });
  const runAt = '2026-03-29T00:00:00.000Z';
  const quiet = () => {};
  try {
    await runStage(
      {
        run: { id: 'r', pipeline: 'p', logicalTime: runAt, date: runAt.slice(0, 10), window: null, params: {} },
        runAt,
        fullRefresh: false,
        stage: compile(made).stages[0] as PlanStage,
        epoch,
        redone: 0,
        files: {},
        earlier: { plan: null, parts: [] },
        concurrency: 2,
        memoryBudget: 64 * 1024 * 1024,
        until: 'caught-up',
      },
      made,
      {
        signal: new AbortController().signal,
        log: { info: quiet, warn: quiet },
        spool,
        secret: async ({ name }) => name,
        now: () => new Date(),
        progress: quiet,
        storePlan: async () => {},
        storePart: async () => {},
        forgetParts: async () => {},
      },
    );
  } finally {
    rmSync(spool, { recursive: true, force: true });
  }
}

async function work(fake: FakeStreams, choices: Choices, writes: number): Promise<void> {
  for (let left = writes; left > 0; left--) {
    const name = choices.one(names);
    const id = { N: String(choices.below(12)) };
    if (choices.below(4) === 0) await fake.remove(name, { id });
    else await fake.put(name, { id, note: { S: `note ${left} ${choices.below(1000)}` } });
    if (choices.below(15) === 0) fake.split(name);
  }
}

async function expectSame(fake: FakeStreams, cache: RedisServer): Promise<void> {
  for (const name of names) {
    const items = (await fake.items(name)).map(({ id, note }) => [`${name}:${id?.N}`, `{"id":${id?.N},"note":${JSON.stringify(note?.S)}}`]);
    const keys = (await cache.command('KEYS', `${name}:*`)).split('\r\n').filter((line) => line.startsWith(name));
    const found = await Promise.all(keys.map(async (key) => [key, (await cache.command('GET', key)).split('\r\n')[1]]));
    expect(found.sort()).toEqual(items.sort());
  }
}

test('a cache has what tables of DynamoDB have, wherever attempts die; a cache that was emptied is filled again, and a gap is said', async () => {
  await using fake = await fakeStreams();
  await using cache = await redisServer();
  for (const name of names) await fake.create(name, 2);
  const choices = new Choices(seeded(7));
  let epoch = 0;
  for (let round = 0; round < 8; round++) {
    await work(fake, choices, 15);
    let left = 2 + choices.below(8);
    const dying = watchFailpoints((name) => {
      if (name.startsWith('redis.') && --left === 0) throw new Error('died');
    });
    await followOnce(fake, cache, ++epoch).catch((error: Error) => expect(error.message).toBe('died'));
    dying[Symbol.dispose]();
    if (round === 5) await cache.flush();
  }
  await followOnce(fake, cache, ++epoch);
  await expectSame(fake, cache);
  await work(fake, choices, 5);
  for (const name of names) fake.trim(name);
  expect(await codeOf(followOnce(fake, cache, ++epoch))).toBe('RESYNC_REQUIRED');
  await cache.flush();
  await followOnce(fake, cache, ++epoch);
  await expectSame(fake, cache);
});
