import { type CronOptions, cron, hourly, type Schedule } from '@millrace/core/runtime';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type ScheduleWorld, scheduled, scheduleWorld } from '../../test/schedule-world.ts';
import { deploy, serve, servedMs, tickOnce } from './ticking.ts';

let world: ScheduleWorld;
beforeEach(async () => {
  world = await scheduleWorld();
});
afterEach(() => world[Symbol.asyncDispose]());

/** A scheduler whose looks the test calls itself. */
async function scheduler(schedule: Schedule, options: { version?: string; params?: Record<string, string | null> } = {}) {
  const pipelines = new Map([scheduled('nightly', schedule, options)]);
  const one = { store: await world.open(), launch: world.launch(pipelines), pipelines };
  await deploy(one);
  return { look: () => tickOnce(one), serve: () => serve(one), deploy: () => deploy(one), one };
}
/** Half an hour from now, so that no hour ends in the middle of a test. */
const minute = (new Date().getUTCMinutes() + 30) % 60;
const onTheHour = `:${String(minute).padStart(2, '0')}:00.000Z`;
const anHour = (options: CronOptions = {}) => hourly(minute, 'UTC', options);
const runs = () => world.runsOf('nightly');
const states = async () => (await world.store.ticks('nightly', 100)).map(({ state }) => state).reverse();
const row = async () => (await world.store.schedules())[0]!;
/** As if what has been made had been made for a time a day before. */
const aDayAgo = async () => {
  await world.database.sql(`update millrace.tick set key = 'schedule:before', logical_time = logical_time - interval '1 day'`);
  await world.database.sql(`update millrace.run set idempotency_key = 'schedule:before'`);
};
const everyMinute = (options: CronOptions = {}) => cron('* * * * *', 'UTC', options);

it('a time that has come makes one run, for its time and the window since the time before', async () => {
  const { look } = await scheduler(anHour());
  await look();
  expect(await runs()).toEqual([]);
  await world.asleep('nightly', '1 hour');
  await look();
  await look();
  const [run, ...others] = await runs();
  expect(others).toEqual([]);
  const time = run?.request.logicalTime as string;
  expect(time.endsWith(onTheHour)).toBe(true);
  expect(run?.request).toMatchObject({
    idempotencyKey: `schedule:${time}`,
    window: { start: new Date(Date.parse(time) - 3_600_000).toISOString(), end: time },
  });
  expect(await world.store.ticks('nightly', 10)).toMatchObject([{ state: 'started', run: run?.id, cause: 'schedule' }]);
  expect(Date.parse((await row()).nextAt as string) - Date.parse(time)).toBe(3_600_000);
});

it.each<[CronOptions['catchUp'], expected: { runs: number; missed: number }]>([
  ['none', { runs: 0, missed: 9 }],
  ['latest', { runs: 1, missed: 8 }],
  [undefined, { runs: 1, missed: 8 }],
  ['all', { runs: 9, missed: 0 }],
])('after a downtime over nine times catchUp %s', async (catchUp, expected) => {
  const { look } = await scheduler(anHour({ overlap: 'allow', ...(catchUp && { catchUp }) }));
  await world.asleep('nightly', '9 hours');
  await look();
  const made = await runs();
  expect(made).toHaveLength(expected.runs);
  expect((await states()).filter((state) => state === 'missed')).toHaveLength(expected.missed);
  const newest = (await world.store.ticks('nightly', 1))[0]?.logicalTime;
  if (made.length > 0)
    expect(
      made
        .map(({ request }) => request.logicalTime)
        .sort()
        .at(-1),
    ).toBe(newest);
  await look();
  expect(await runs()).toHaveLength(expected.runs);
});

it('with catchUp none a time that is only just over is met', async () => {
  const { look } = await scheduler(everyMinute({ catchUp: 'none' }));
  await world.asleep('nightly', '3 minutes');
  await look();
  expect(await runs()).toHaveLength(1);
});

it('a year of minutes is made up for by the newest thousand', { timeout: 120_000 }, async () => {
  const { look } = await scheduler(everyMinute({ catchUp: 'all' }));
  await world.asleep('nightly', '1 year');
  const began = performance.now();
  await look();
  expect(performance.now() - began).toBeLessThan(20_000);
  expect(await world.database.sql('select state, count(*)::int from millrace.tick group by 1 order by 1')).toEqual([
    { state: 'missed', count: 100 },
    { state: 'started', count: 1 },
    { state: 'waiting', count: 999 },
  ]);
});

it('overlap queue waits until the run before has ended, and keeps the order', async () => {
  const { look } = await scheduler(everyMinute({ catchUp: 'all' }));
  await world.asleep('nightly', '3 minutes');
  await look();
  await look();
  expect(await runs()).toHaveLength(1);
  for (let made = 1; made < 3; made++) {
    await world.end((await runs()).at(-1)!.id, made === 1 ? 'failed' : 'succeeded');
    await look();
    expect(await runs()).toHaveLength(made + 1);
  }
  const times = (await runs()).map(({ request }) => request.logicalTime);
  expect(times).toEqual([...times].sort());
});

it('overlap skip leaves out what comes meanwhile', async () => {
  const { look } = await scheduler(everyMinute({ overlap: 'skip' }));
  await world.asleep('nightly', '1 minute');
  await look();
  // As if the next minute had come.
  await aDayAgo();
  await world.asleep('nightly', '1 minute');
  await look();
  expect(await runs()).toHaveLength(1);
  expect(await states()).toEqual(['started', 'skipped']);
  expect((await world.store.ticks('nightly', 1))[0]?.because).toContain('was not done');
});

it('overlap cancel stops the run before and begins when that has ended', async () => {
  const { look } = await scheduler(everyMinute({ overlap: 'cancel' }));
  await world.asleep('nightly', '1 minute');
  await look();
  const [first] = await runs();
  await world.runs.transition(first!.id, () => [
    { type: 'run.started' },
    { type: 'stage.ready', stage: 'a' },
    { type: 'stage.started', stage: 'a', attempt: 1, epoch: 1, worker: 'w' },
  ]);
  await aDayAgo();
  await world.asleep('nightly', '1 minute');
  await look();
  expect((await runs()).map(({ cancelRequestedAt }) => cancelRequestedAt !== null)).toEqual([true]);
  await world.runs.transition(first!.id, () => [{ type: 'stage.cancelled', stage: 'a' }, { type: 'run.cancelled' }]);
  await look();
  expect((await runs()).map(({ state }) => state.at)).toEqual(['cancelled', 'queued']);
});

it('overlap allow starts beside it', async () => {
  const { look } = await scheduler(everyMinute({ overlap: 'allow', catchUp: 'all' }));
  await world.asleep('nightly', '4 minutes');
  await look();
  expect((await runs()).length).toBeGreaterThanOrEqual(4);
});

it('a paused schedule makes nothing, and makes up for it by its policy when it goes on', async () => {
  const { look } = await scheduler(anHour({ catchUp: 'all', overlap: 'allow' }));
  await world.store.pause('nightly', true);
  await world.asleep('nightly', '5 hours');
  await look();
  expect(await runs()).toEqual([]);
  await world.store.pause('nightly', false);
  await look();
  expect(await runs()).toHaveLength(5);
  expect(await world.store.pause('nobody', true)).toBeNull();
});

it('a new schedule counts from its deployment on; what the old one had not met by then is met', async () => {
  await scheduler(anHour({ catchUp: 'all', overlap: 'allow' }));
  await world.asleep('nightly', '3 hours');
  const second = await scheduler(cron('59 23 31 12 *', 'UTC', { overlap: 'allow' }));
  await second.look();
  const made = await runs();
  expect(made).toHaveLength(3);
  expect(made.every(({ request }) => request.logicalTime.endsWith(onTheHour))).toBe(true);
  expect((await row()).nextAt).toMatch(/-12-31T23:59:00.000Z$/);
});

it('a new schedule that is deployed during a pause loses none of the times of the old one', async () => {
  await scheduler(anHour({ catchUp: 'all', overlap: 'allow' }));
  await world.store.pause('nightly', true);
  await world.asleep('nightly', '3 hours');
  const second = await scheduler(cron('59 23 31 12 *', 'UTC', { overlap: 'allow' }));
  await second.look();
  expect(await runs()).toEqual([]);
  await world.store.pause('nightly', false);
  await second.look();
  const hours = (await runs()).filter(({ request }) => request.logicalTime.endsWith(onTheHour));
  expect(hours).toHaveLength(3);
});

it('another version with the same schedule changes no time', async () => {
  await scheduler(anHour());
  await world.asleep('nightly', '30 minutes');
  const before = await row();
  const second = await scheduler(anHour(), { version: 'b' });
  const after = await row();
  expect(after).toMatchObject({ evaluatedAt: before.evaluatedAt, nextAt: before.nextAt, since: before.since });
  expect(after.fingerprint).toBe(second.one.pipelines.get('nightly')?.plan.fingerprint);
});

it('of two versions the one deployed last makes the runs; where it is gone for good, the other does', async () => {
  const old = await scheduler(anHour(), { version: 'a' });
  const fresh = await scheduler(anHour(), { version: 'b' });
  await world.asleep('nightly', '1 hour');
  await old.look();
  await old.serve();
  expect(await runs()).toEqual([]);
  await fresh.look();
  expect((await runs()).map(({ plan }) => plan.fingerprint)).toEqual([fresh.one.pipelines.get('nightly')?.plan.fingerprint]);
  await world.database.sql(`update millrace.schedule set served_at = served_at - $1 * interval '1 ms'`, [servedMs]);
  await old.serve();
  expect((await row()).fingerprint).toBe(old.one.pipelines.get('nightly')?.plan.fingerprint);
});

it('a run that cannot be made is refused once, with the reason', async () => {
  const { one } = await scheduler(anHour());
  await world.asleep('nightly', '1 hour');
  const launch = executorWithout(one.launch);
  await tickOnce({ ...one, launch });
  await tickOnce({ ...one, launch });
  expect(await world.store.ticks('nightly', 10)).toMatchObject([
    { state: 'refused', because: expect.stringContaining('This process has no pipeline') },
  ]);
});

/** Launches nothing: it has no pipelines. */
const executorWithout = (launch: ReturnType<ScheduleWorld['launch']>) => ({ ...launch, launch: world.launch(new Map()).launch });

it('a clock that goes wrong in a scheduler changes nothing: only the database is asked', async () => {
  const { look } = await scheduler(anHour());
  const real = Date.now;
  Date.now = () => real() + 3_600_000;
  try {
    await look();
    expect(await runs()).toEqual([]);
  } finally {
    Date.now = real;
  }
});

it('eight schedulers at once make one run of each time', { timeout: 120_000 }, async () => {
  const all = await Promise.all(Array.from({ length: 8 }, () => scheduler(everyMinute({ catchUp: 'all', overlap: 'allow' }))));
  for (let round = 0; round < 3; round++) {
    await world.asleep('nightly', `${(round + 1) * 10} minutes`);
    await Promise.all(all.flatMap(({ look, deploy: redeploy }) => [look(), look(), redeploy(), look()]));
  }
  await Promise.all(all.map(({ look }) => look()));
  const times = (await runs()).map(({ request }) => request.logicalTime);
  expect(times.length).toBeGreaterThanOrEqual(30);
  expect(new Set(times).size).toBe(times.length);
  expect(await states()).toEqual(times.map(() => 'started'));
});

it('a run that cannot be made now is made at a later look, and keeps no other pipeline from its turn', async () => {
  const pipelines = new Map([scheduled('nightly', anHour()), scheduled('broken', anHour())]);
  const launch = world.launch(pipelines);
  let broken = true;
  const one = {
    store: world.store,
    pipelines,
    launch: {
      ...launch,
      launch: (request: Parameters<typeof launch.launch>[0]) => {
        if (broken && request.pipeline === 'broken') return Promise.reject(new Error('something of ours'));
        return launch.launch(request);
      },
    },
  };
  await deploy(one);
  await world.asleep('nightly', '1 hour');
  await world.asleep('broken', '1 hour');
  await expect(tickOnce(one)).rejects.toThrow('something of ours');
  expect(await runs()).toHaveLength(1);
  expect(await world.store.launching('broken')).toHaveLength(1);
  broken = false;
  await tickOnce(one);
  expect(await world.runsOf('broken')).toHaveLength(1);
});

it('ticks that were settled long ago are forgotten, and not met again', async () => {
  const { look } = await scheduler(anHour({ catchUp: 'all', overlap: 'allow' }));
  await world.asleep('nightly', '5 hours');
  await look();
  const made = (await runs()).length;
  await world.database.sql(`update millrace.tick set made_at = made_at - interval '91 days' where ordinal > 1`);
  await world.store.forgetTicks(90);
  expect(await states()).toEqual(['started']);
  await look();
  expect(await runs()).toHaveLength(made);
});

it('a scheduler that stops while it holds a schedule holds it for a quarter of a minute at most', { timeout: 120_000 }, async () => {
  const { look } = await scheduler(anHour());
  await world.asleep('nightly', '1 hour');
  const held = await world.open();
  const stopped = held.change('nightly', () => {
    // The event loop stands still, as that of a process which is stopped.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 17_000);
    return {};
  });
  await expect(stopped).rejects.toThrow();
  await look();
  expect(await runs()).toHaveLength(1);
});
