import { manual, type NewBackfill } from '@millrace/core/runtime';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type ScheduleWorld, scheduled, scheduleWorld } from '../../test/schedule-world.ts';
import { sliceRange } from './backfill-range.ts';
import { backfillOnce } from './backfilling.ts';

let world: ScheduleWorld;
beforeEach(async () => {
  world = await scheduleWorld();
});
afterEach(() => world[Symbol.asyncDispose]());

async function scheduler(version = 'a') {
  const pipelines = new Map([scheduled('days', manual, { version, params: { country: 'fr' } })]);
  const one = { store: await world.open(), launch: world.launch(pipelines), pipelines };
  return () => backfillOnce(one);
}

function create(days: number, options: Partial<NewBackfill> = {}) {
  const start = '2025-01-01T00:00:00.000Z';
  const end = new Date(Date.parse(start) + days * 86_400_000).toISOString();
  const range = { start, end, by: 'day' } as const;
  const items = sliceRange(range, manual);
  return world.store.createBackfill({
    id: 'b',
    pipeline: 'days',
    range,
    order: 'oldest',
    maxParallel: 2,
    params: { country: 'de' },
    fullRefresh: false,
    ...options,
    items: options.order === 'newest' ? items.reverse() : items,
  });
}

const now = async () => (await world.store.backfill('b'))!;
const runs = () => world.runsOf('days');
const open = async () => (await runs()).filter(({ state }) => state.at === 'queued' || state.at === 'running');
const dates = async () => (await runs()).map(({ request }) => request.logicalTime.slice(0, 10));

it('runs at most as many as it may at a time, oldest first, each for its day with its window and parameters', async () => {
  const look = await scheduler();
  await create(5);
  await look();
  await look();
  expect(await dates()).toEqual(['2025-01-01', '2025-01-02']);
  const [first] = await runs();
  expect(first?.request).toMatchObject({
    params: { country: 'de' },
    window: { start: '2025-01-01T00:00:00.000Z', end: '2025-01-02T00:00:00.000Z' },
  });
  await world.end(first!.id, 'succeeded');
  await look();
  expect(await dates()).toEqual(['2025-01-01', '2025-01-02', '2025-01-03']);
  for (let i = 0; i < 4; i++) {
    for (const { id } of await open()) await world.end(id, 'succeeded');
    await look();
  }
  expect(await now()).toMatchObject({ state: 'succeeded', counts: { succeeded: 5 }, endedAt: expect.any(String) });
});

it('newest first begins at the other end', async () => {
  const look = await scheduler();
  await create(5, { order: 'newest' });
  await look();
  expect((await dates()).sort()).toEqual(['2025-01-04', '2025-01-05']);
});

it('only what failed is done again: the run goes on where it was, unless the pipeline has been changed', async () => {
  const look = await scheduler();
  await create(3, { maxParallel: 3 });
  await look();
  const [a, b, c] = await runs();
  await world.end(a!.id, 'succeeded');
  await world.end(b!.id, 'failed');
  await world.end(c!.id, 'failed');
  await look();
  expect(await now()).toMatchObject({ state: 'failed', counts: { succeeded: 1, failed: 2 } });
  await world.store.resumeBackfill('b', { onlyFailed: true });
  await look();
  expect(await runs()).toHaveLength(3);
  expect((await open()).map(({ id }) => id).sort()).toEqual([b!.id, c!.id].sort());
  await world.end(b!.id, 'succeeded');
  await world.end(c!.id, 'failed');
  await look();
  const changed = await scheduler('b');
  await world.store.resumeBackfill('b', { onlyFailed: true });
  await changed();
  expect(await runs()).toHaveLength(4);
  const [again] = await open();
  expect(again?.request).toMatchObject({ logicalTime: c!.request.logicalTime, idempotencyKey: expect.stringMatching(/:3$/) });
  await world.end(again!.id, 'succeeded');
  await changed();
  expect(await now()).toMatchObject({ state: 'succeeded', counts: { succeeded: 3 } });
});

it('a run that cannot be made fails its day, with the reason', async () => {
  const { store } = world;
  const launch = world.launch(new Map());
  await create(1);
  await backfillOnce({ store, launch, pipelines: new Map([scheduled('days', manual)]) });
  await backfillOnce({ store, launch, pipelines: new Map([scheduled('days', manual)]) });
  expect(await now()).toMatchObject({ state: 'failed' });
  expect((await store.backfillItems('b'))[0]).toMatchObject({ state: 'failed', because: expect.stringContaining('no pipeline "days"') });
});

it('400 days, cancelled in the middle and resumed, by three schedulers: each day succeeds in one run', { timeout: 300_000 }, async () => {
  const looks = await Promise.all([1, 2, 3].map(() => scheduler()));
  const lookAll = () => Promise.all(looks.map((look) => look()));
  await create(400, { maxParallel: 16 });
  const work = async (rounds: number) => {
    for (let i = 0; i < rounds; i++) {
      await lookAll();
      const current = await open();
      expect(current.length).toBeLessThanOrEqual(16);
      await Promise.all(current.map(({ id }) => world.end(id, 'succeeded')));
    }
  };
  await work(8);
  await lookAll();
  await world.store.cancelBackfill('b');
  await lookAll();
  for (const { id, cancelRequestedAt } of await open()) {
    expect(cancelRequestedAt).not.toBeNull();
    await world.end(id, 'cancelled');
  }
  await lookAll();
  const stopped = await now();
  expect(stopped).toMatchObject({ state: 'cancelled', counts: { pending: 0, launching: 0, running: 0 } });
  const before = (await runs()).length;
  await lookAll();
  expect(await runs()).toHaveLength(before);
  expect(stopped.counts.succeeded + stopped.counts.cancelled).toBe(400);
  expect(stopped.counts.succeeded).toBeGreaterThanOrEqual(100);

  await world.store.resumeBackfill('b', { onlyFailed: false });
  for (let i = 0; i < 40 && (await now()).state === 'running'; i++) await work(1);
  expect(await now()).toMatchObject({ state: 'succeeded', counts: { succeeded: 400 } });
  const all = await runs();
  expect(all).toHaveLength(400);
  expect(new Set(all.map(({ request }) => request.logicalTime)).size).toBe(400);
  expect(all.every(({ state }) => state.at === 'succeeded')).toBe(true);
});
