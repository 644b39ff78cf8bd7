import { type ChildProcess, spawn } from 'node:child_process';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { bundled } from '../../../../test/bundle.ts';
import { type ScheduleWorld, scheduleWorld } from '../../test/schedule-world.ts';
import { sliceRange } from './backfill-range.ts';
import { schedulerFailpoints } from './failpoints.ts';

let program: Awaited<ReturnType<typeof bundled>>;
beforeAll(async () => {
  program = await bundled(new URL('../../test/fixtures/scheduler.ts', import.meta.url));
});
afterAll(() => program?.[Symbol.asyncDispose]());
let world: ScheduleWorld;
const children = new Set<ChildProcess>();
beforeEach(async () => {
  world = await scheduleWorld();
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  children.clear();
  await world[Symbol.asyncDispose]();
});

const patient = { timeout: 120_000, interval: 100 };

function start(env: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, ['--no-warnings', program.file, world.database.url], {
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.add(child);
  const ended = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? `exit ${code}`));
    setTimeout(() => resolve('still there after two minutes'), 120_000).unref();
  });
  const ready = new Promise<void>((resolve) => child.stdout.once('data', () => resolve()));
  return { child, ended, ready };
}

const range = { start: '2026-01-01T00:00:00.000Z', end: '2026-01-04T00:00:00.000Z', by: 'day' } as const;
const backfill = (id: string) =>
  world.store.createBackfill({
    id,
    pipeline: 'days',
    range,
    order: 'oldest',
    maxParallel: 3,
    params: {},
    fullRefresh: false,
    items: sliceRange(range, { kind: 'manual' }),
  });
const keys = async () => (await world.runsOf('nightly')).map(({ request }) => request.idempotencyKey as string);

it('a scheduler that is killed at any instant loses no time and meets none twice', { timeout: 600_000 }, async () => {
  const first = start();
  await first.ready;
  first.child.kill('SIGKILL');
  await first.ended;
  for (const [i, point] of schedulerFailpoints.entries()) {
    await world.asleep('nightly', '10 minutes');
    await backfill(`days-${i}`);
    expect(await start({ MILLRACE_FAILPOINT: point.endsWith('launched') ? `${point}:2` : point }).ended, point).toBe('SIGKILL');
  }
  const last = start();
  await last.ready;
  await vi.waitFor(
    async () => expect((await world.store.ticks('nightly', 1000)).every(({ state }) => state === 'started')).toBe(true),
    patient,
  );
  for (const i of schedulerFailpoints.keys())
    await vi.waitFor(async () => expect((await world.store.backfill(`days-${i}`))?.counts.running).toBe(3), patient);
  const ticks = await world.store.ticks('nightly', 1000);
  expect(ticks.length).toBeGreaterThanOrEqual(10);
  expect((await keys()).sort()).toEqual(ticks.map(({ key }) => key).sort());
  expect(await world.runsOf('days')).toHaveLength(3 * schedulerFailpoints.length);
});

it('two schedulers, one with a clock an hour ahead, one stopped and woken, make one run of each time', { timeout: 600_000 }, async () => {
  const [ahead, behind] = [start({ CLOCK_SKEW: '3600000' }), start({ CLOCK_SKEW: '-60000' })];
  await Promise.all([ahead.ready, behind.ready]);
  await world.asleep('nightly', '5 minutes');
  await vi.waitFor(async () => expect((await keys()).length).toBeGreaterThanOrEqual(5), patient);
  behind.child.kill('SIGSTOP');
  await world.asleep('nightly', '20 minutes');
  await vi.waitFor(async () => expect((await keys()).length).toBeGreaterThanOrEqual(20), patient);
  behind.child.kill('SIGCONT');
  await world.asleep('nightly', '25 minutes');
  await vi.waitFor(async () => expect((await keys()).length).toBeGreaterThanOrEqual(25), patient);
  const made = await keys();
  expect(new Set(made).size).toBe(made.length);
  const [{ now } = { now: new Date(0) }] = await world.database.sql<{ now: Date }>('select now()');
  const times = (await world.store.ticks('nightly', 1000)).map(({ logicalTime }) => Date.parse(logicalTime));
  expect(Math.max(...times)).toBeLessThanOrEqual(now.getTime());
});
