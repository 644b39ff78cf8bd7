import { Queue, Worker } from 'bullmq';
import { percentile } from './report.ts';

/** Bare BullMQ on the same Redis, in this process: what carries a wake-up, without a truth, a lease or a process for a stage. */

const kept = { removeOnComplete: true, removeOnFail: true } as const;

/** Milliseconds of each step of chains: whoever processes a job adds the next one. */
export async function bareChain(url: string, steps: number, rounds: number): Promise<{ p50: number; p99: number }> {
  const times: number[] = [];
  const connection = connectionOf(url);
  const queue = new Queue('bare-chain', { connection });
  let ended: () => void = () => {};
  let last = 0;
  const worker = new Worker<{ step: number }>(
    'bare-chain',
    async ({ data: { step } }) => {
      const now = performance.now();
      if (step > 0) times.push(now - last);
      last = now;
      if (step < steps) await queue.add('step', { step: step + 1 }, kept);
      else ended();
    },
    { connection, concurrency: 1 },
  );
  await worker.waitUntilReady();
  for (let round = 0; round <= rounds; round++) {
    if (round === 1) times.length = 0;
    const end = new Promise<void>((resolve) => {
      ended = resolve;
    });
    await queue.add('step', { step: 0 }, kept);
    await end;
  }
  await worker.close();
  await queue.close();
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99) };
}

/** Jobs a second that one worker adds (in bulk) and processes, so many at a time. */
export async function bareThroughput(url: string, jobs: number, concurrency: number): Promise<number> {
  const connection = connectionOf(url);
  const queue = new Queue('bare-many', { connection });
  let left = jobs;
  let ended: () => void = () => {};
  const end = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const worker = new Worker(
    'bare-many',
    async () => {
      if (--left === 0) ended();
    },
    { connection, concurrency },
  );
  await worker.waitUntilReady();
  const began = performance.now();
  await queue.addBulk(Array.from({ length: jobs }, (_, job) => ({ name: 'job', data: { job }, opts: kept })));
  await end;
  const seconds = (performance.now() - began) / 1000;
  await worker.close();
  await queue.close();
  return jobs / seconds;
}

function connectionOf(url: string) {
  const { hostname: host, port } = new URL(url);
  return { host, port: Number(port), maxRetriesPerRequest: null };
}
