import { Job, Queue, Worker } from 'bullmq';
import { expect, it, vi } from 'vitest';
import { redisServer } from '../../../../test/redis-server.ts';
import { Health } from './health.ts';
import { type BullmqJob, type BullmqWorker, type Intake, intake, reading } from './intake.ts';
import { Reader } from './reader.ts';

const patient = { timeout: 30_000, interval: 20 };

it('opens another intake where one does not open, does not come back, or fails, and closes each of them', async () => {
  await using redis = await redisServer();
  const connection = { url: redis.url, maxRetriesPerRequest: null };
  const queue = new Queue('q', { connection });
  const closed: number[] = [];
  const told: string[] = [];
  let opened = 0;

  const open = async (): Promise<Intake> => {
    const number = ++opened;
    if (number === 1) throw new Error('no line');
    const worker: BullmqWorker = new Worker('q', null, { connection, ...reading });
    worker.on('error', () => {});
    await worker.waitUntilReady();
    const real = intake(
      worker,
      (json, id) => Job.fromJSON(worker, json as never, id) as BullmqJob,
      async () => void closed.push(number),
    );
    if (number === 2) return { ...real, take: () => new Promise(() => {}) };
    if (number === 3) return { ...real, take: () => Promise.reject(new Error('broken')) };
    return real;
  };

  const seen: (string | null)[] = [];
  const health = new Health((to) => void told.push(to.at));
  const reader = new Reader({ places: 1, handle: async ({ stage }) => void seen.push(stage), open, health, readMs: 6_000 });
  await queue.add('wake', { run: 'r', stage: 'a' }, { removeOnComplete: true });
  await vi.waitFor(() => expect(seen).toEqual(['a']), patient);
  expect(closed).toEqual([2, 3]);
  expect(told[0]).toBe('away');
  await vi.waitFor(() => expect(health.now).toEqual({ at: 'connected' }), patient);
  await reader.stop();
  expect(closed).toEqual([2, 3, 4]);
  await queue.close();
});
