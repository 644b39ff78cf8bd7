import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'bullmq';
import { expect, it, vi } from 'vitest';
import { redisServer } from '../../../../test/redis-server.ts';
import { startTcpProxy } from '../../../../test/tcp-proxy.ts';
import { listening, patient, sendUntilSeen, wake } from '../../test/wake-ups.ts';
import { bullmqDispatch } from './bullmq.ts';
import type { DispatchHealth } from './dispatch.ts';
import { reading } from './intake.ts';
import { keyOf } from './key.ts';

it('works on after Redis was restarted, killed and flushed, in one process, with and without what it held', async () => {
  for (const durable of [true, false]) {
    await using redis = await redisServer({ durable });
    await using dispatch = await bullmqDispatch({ url: redis.url, queue: 'q' });
    const seen = listening(dispatch);
    await sendUntilSeen(dispatch, seen, 'before');
    await redis.restart();
    await sendUntilSeen(dispatch, seen, 'after a restart');
    await redis.kill();
    await redis.start();
    await sendUntilSeen(dispatch, seen, 'after SIGKILL');
    await redis.flush();
    await sendUntilSeen(dispatch, seen, 'after FLUSHALL');
    await redis.command('SCRIPT', 'FLUSH');
    await sendUntilSeen(dispatch, seen, 'after SCRIPT FLUSH');
    await vi.waitFor(() => expect(dispatch.health).toEqual({ at: 'connected' }), patient);
  }
});

it('hears of a wake-up at once after FLUSHALL, while it waits and while handlers run', async () => {
  await using redis = await redisServer();
  await using dispatch = await bullmqDispatch({ url: redis.url, queue: 'q' });
  const seen: (string | null)[] = [];
  let letGo = () => {};
  dispatch.receive(2, ({ stage }) => {
    seen.push(stage);
    return stage === 'long' ? new Promise<void>((resolve) => (letGo = resolve)) : Promise.resolve();
  });
  await sendUntilSeen(dispatch, seen, 'long');
  for (let round = 0; round < 5; round++) {
    await redis.flush();
    const begun = performance.now();
    await sendUntilSeen(dispatch, seen, `round ${round}`);
    expect(performance.now() - begun).toBeLessThan(10_000);
  }
  letGo();
  await sendUntilSeen(dispatch, seen, 'at the end');
});

it('keeps what a durable Redis held over its restart', async () => {
  await using redis = await redisServer({ durable: true });
  await using sender = await bullmqDispatch({ url: redis.url, queue: 'q' });
  await sender.send([wake('a'), wake('b')]);
  await redis.restart();
  await using dispatch = await bullmqDispatch({ url: redis.url, queue: 'q' });
  const seen = listening(dispatch);
  await vi.waitFor(() => expect(seen).toEqual(['a', 'b']), patient);
});

it('refuses quickly and keeps nothing while Redis is away, tells it once, and comes back by itself', async () => {
  await using redis = await redisServer();
  const told: DispatchHealth['at'][] = [];
  await using dispatch = await bullmqDispatch({ url: redis.url, queue: 'q', watch: ({ at }) => told.push(at) });
  await dispatch.send([wake('before')]);
  await redis.kill();
  await vi.waitFor(() => expect(dispatch.health.at).toBe('away'), patient);
  let slowest = 0;
  const heap = process.memoryUsage().heapUsed;
  for (let time = 0; time < 200; time++) {
    const begun = performance.now();
    const refusal = await dispatch.send(Array.from({ length: 50 }, (_, index) => wake(`lost ${time} ${index}`))).catch((error) => error);
    slowest = Math.max(slowest, performance.now() - begun);
    expect(refusal).toMatchObject({ code: 'DISPATCH_UNAVAILABLE', entry: { retry: 'backoff' } });
  }
  expect(slowest).toBeLessThan(2_500); // one that waits for an answer waits for 5 s
  expect(process.memoryUsage().heapUsed - heap).toBeLessThan(100 * 2 ** 20);
  await expect(dispatch.depth()).rejects.toMatchObject({ code: 'DISPATCH_UNAVAILABLE' });
  expect(told).toEqual(['away']);
  await redis.start();
  const seen = listening(dispatch);
  await sendUntilSeen(dispatch, seen, 'after');
  expect(seen).toEqual(['after']);
});

it('tells its own handler while Redis is away, as far as there are places', async () => {
  await using redis = await redisServer();
  await using dispatch = await bullmqDispatch({ url: redis.url, queue: 'q' });
  const begun: (string | null)[] = [];
  let letGo = () => {};
  dispatch.receive(2, ({ stage }) => {
    begun.push(stage);
    return new Promise<void>((resolve) => (letGo = resolve));
  });
  await redis.stop();
  await vi.waitFor(() => expect(dispatch.health.at).toBe('away'), patient);
  await dispatch.send([wake('a'), wake('a')]);
  await expect(dispatch.send([wake('b'), wake('c')])).rejects.toMatchObject({ code: 'DISPATCH_UNAVAILABLE' });
  expect(begun).toEqual(['a', 'b']);
  letGo();
  await vi.waitFor(() => dispatch.send([wake('d')]), patient); // as soon as the handler's end is noticed
  expect(begun).toEqual(['a', 'b', 'd']);
  dispatch.pause();
  letGo();
  await sleep(10);
  await expect(dispatch.send([wake('e')])).rejects.toMatchObject({ code: 'DISPATCH_UNAVAILABLE' });
  expect(begun).toHaveLength(3);
});

it('works on after its Redis was a read-only replica for a while, as at a failover', async () => {
  await using other = await redisServer();
  await using redis = await redisServer();
  await using sender = await bullmqDispatch({ url: redis.url, queue: 'q' });
  await using dispatch = await bullmqDispatch({ url: redis.url, queue: 'q' });
  const seen = listening(dispatch);
  await redis.command('REPLICAOF', '127.0.0.1', String(other.port));
  await vi.waitFor(async () => {
    await expect(sender.send([wake('lost')])).rejects.toMatchObject({ code: 'DISPATCH_UNAVAILABLE' });
  }, patient);
  await redis.command('REPLICAOF', 'NO', 'ONE');
  await sendUntilSeen(sender, seen, 'after');
  expect(seen).not.toContain('lost');
});

it('gives up a line on which nothing answers any more, and works on as soon as one does', async () => {
  await using redis = await redisServer();
  await using proxy = await startTcpProxy({ host: '127.0.0.1', port: redis.port });
  await using dispatch = await bullmqDispatch({ url: proxy.through(redis.url), queue: 'q' });
  const seen = listening(dispatch);
  await sendUntilSeen(dispatch, seen, 'before');
  proxy.stall();
  const begun = performance.now();
  await dispatch.send([wake('here')]);
  expect(performance.now() - begun).toBeLessThan(8_000);
  expect(seen).toContain('here');
  await sleep(22_000); // longer than any read may take
  expect(dispatch.health.at).toBe('away');
  proxy.resume();
  proxy.cut();
  await sendUntilSeen(dispatch, seen, 'after');
  for (let time = 0; time < 3; time++) {
    proxy.cut();
    await sendUntilSeen(dispatch, seen, `after a cut ${time}`);
  }
});

it('is closed within seconds while Redis is away, or does not answer', async () => {
  await using redis = await redisServer();
  await using proxy = await startTcpProxy({ host: '127.0.0.1', port: redis.port });
  for (const damage of [() => proxy.stall(), () => redis.kill()]) {
    const dispatch = await bullmqDispatch({ url: proxy.through(redis.url), queue: 'q' });
    const seen = listening(dispatch);
    await sendUntilSeen(dispatch, seen, 'before');
    await damage();
    const begun = performance.now();
    await dispatch[Symbol.asyncDispose]();
    expect(performance.now() - begun).toBeLessThan(10_000);
    proxy.resume();
  }
});

it('delivers again what a process had taken and died with', async () => {
  await using redis = await redisServer();
  await using dispatch = await bullmqDispatch({ url: redis.url, queue: 'q' });
  await dispatch.send([wake('a')]);
  const connection = { url: redis.url, maxRetriesPerRequest: null };
  const dying = new Worker('q', null, { connection, prefix: '{millrace:default}', ...reading });
  expect((await dying.getNextJob('token')).data).toEqual({ run: 'run-1', stage: 'a' });
  await dying.close(true);
  const seen = listening(dispatch);
  await sendUntilSeen(dispatch, seen, 'a');
});

it('leaves nothing in Redis but what waits, and a job is below 1 kB', async () => {
  await using redis = await redisServer();
  await using dispatch = await bullmqDispatch({ url: redis.url, queue: 'q' });
  const seen = listening(dispatch);
  await dispatch.send(Array.from({ length: 500 }, (_, index) => wake(`s${index}`)));
  await vi.waitFor(() => expect(seen).toHaveLength(500), patient);
  await vi.waitFor(async () => expect(await dispatch.depth()).toBe(0), patient);
  const keys = (await redis.command('KEYS', '*')).split('\r\n').filter((line) => line.startsWith('{'));
  expect(keys.length).toBeLessThan(10);
  expect(keys.every((key) => key.startsWith('{millrace:default}:q:'))).toBe(true);
  dispatch.pause();
  await dispatch.send([wake('x'.repeat(60))]);
  const job = await redis.command('HGETALL', `{millrace:default}:q:${keyOf(wake('x'.repeat(60)))}`);
  expect(job).toContain('"run":"run-1"');
  expect(job.length).toBeLessThan(1_000);
});

it('leaves no socket and no timer behind', async () => {
  await using redis = await redisServer();
  const open = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
  const before = open();
  const dispatch = await bullmqDispatch({ url: redis.url, queue: 'q' });
  const seen = listening(dispatch);
  await sendUntilSeen(dispatch, seen, 'a');
  expect(open()).toBeGreaterThan(before);
  await dispatch[Symbol.asyncDispose]();
  await vi.waitFor(() => expect(open()).toBe(before), patient);
  expect(await redis.command('CLIENT', 'LIST')).not.toContain('millrace');
});
