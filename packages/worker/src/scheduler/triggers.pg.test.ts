import { type FilesSchedule, onFiles, onNotify, onSuccess, type Schedule } from '@millrace/core/runtime';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { testDatabase } from '../../../../test/postgres.ts';
import { type ScheduleWorld, scheduled, scheduleWorld } from '../../test/schedule-world.ts';
import { type EventQueue, fileEvents } from './file-events.ts';
import { filesSource } from './files-source.ts';
import type { FileStore, FoundFile } from './found-file.ts';
import { notifySource } from './notify-source.ts';
import { Scheduler } from './scheduler.ts';
import { successSource } from './success-source.ts';
import { deploy, tickOnce } from './ticking.ts';
import type { TriggerSource } from './trigger-source.ts';

let world: ScheduleWorld;
const open: AsyncDisposable[] = [];
beforeEach(async () => {
  world = await scheduleWorld();
});
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

const never = new AbortController().signal;
const patient = { timeout: 30_000, interval: 50 };

async function deployed(name: string, schedule: Schedule, params: Record<string, string | null> = {}) {
  const pipelines = new Map([scheduled(name, schedule, { params })]);
  const one = { store: await world.open(), launch: world.launch(pipelines), pipelines };
  await deploy(one);
  return { ...one, look: () => tickOnce(one) };
}

const runs = async (pipeline = 'landed') => (await world.runsOf(pipeline)).map(({ request }) => request);

/** A store of files that a test changes. */
function shelf(...files: FoundFile[]) {
  return {
    files,
    async *list() {
      yield* files;
    },
    matches: (pattern: string, url: string) => url.startsWith(pattern.replace('*', '')),
  } satisfies FileStore & { files: FoundFile[] };
}

const landing = onFiles('s3://lake/in/*', { quiet: '30s' }) as FilesSchedule;

it('each new file, and each new content of one, starts one run once it has been quiet', async () => {
  const { store, look } = await deployed('landed', landing, { file: null });
  const files = shelf({ url: 's3://lake/in/old', etag: '1' });
  let elapsed = 0;
  const sources = await Promise.all(
    [store, await world.open()].map((one) =>
      filesSource({ store: one, files, pipeline: 'landed', schedule: landing, elapsed: () => elapsed }),
    ),
  );
  const lookAt = async (ms: number) => {
    elapsed = ms;
    for (const source of sources) await source.look(never);
    await look();
  };
  await lookAt(0);
  files.files.push({ url: 's3://lake/in/a', etag: '1' }, { url: 's3://lake/in/b', etag: '1' });
  await lookAt(1_000);
  await lookAt(29_000);
  expect(await runs()).toEqual([]);
  files.files[2] = { url: 's3://lake/in/b', etag: '2' };
  await lookAt(31_000);
  expect((await runs()).map(({ params }) => params)).toEqual([{ file: 's3://lake/in/a' }]);
  await lookAt(61_000);
  await lookAt(90_000);
  expect((await runs()).map(({ params }) => params['file'])).toEqual(['s3://lake/in/a', 's3://lake/in/b']);
  files.files[0] = { url: 's3://lake/in/old', etag: '2' };
  await lookAt(100_000);
  await lookAt(140_000);
  expect((await runs()).map(({ params }) => params['file'])).toEqual(['s3://lake/in/a', 's3://lake/in/b', 's3://lake/in/old']);
});

it('what a scheduler that has begun anew finds is new where nobody took it', async () => {
  const { store, look } = await deployed('landed', landing);
  const files = shelf();
  let elapsed = 0;
  const source = (): TriggerSource => filesSource({ store, files, pipeline: 'landed', schedule: landing, elapsed: () => elapsed });
  await source().look(never);
  files.files.push({ url: 's3://lake/in/a', etag: '1' });
  const second = source();
  await second.look(never);
  elapsed = 30_000;
  await second.look(never);
  await source().look(never);
  await look();
  await look();
  expect(await runs()).toHaveLength(1);
});

it('events of S3 start a run at once, however often they come, and beside a listing', async () => {
  const { store, look } = await deployed('landed', landing, { file: null, etag: '' });
  const files = shelf();
  const direct = {
    Records: [{ eventName: 'ObjectCreated:Put', s3: { bucket: { name: 'lake' }, object: { key: 'in/a+b%28c%29.csv', eTag: 'e1' } } }],
  };
  const bridged = { 'detail-type': 'Object Created', detail: { bucket: { name: 'lake' }, object: { key: 'in/plus+is.csv', etag: 'e2' } } };
  const bodies = [
    direct,
    direct,
    { Message: JSON.stringify(direct) },
    bridged,
    { Event: 's3:TestEvent' },
    'no event',
    { Records: [{ eventName: 'ObjectRemoved:Delete' }] },
  ];
  let done = 0;
  const queue: EventQueue = {
    receive: async () => bodies.map((body) => ({ body: JSON.stringify(body), done: async () => void done++ })),
  };
  const source = fileEvents({ store, queue, files, patterns: [{ pipeline: 'landed', pattern: landing.pattern }] });
  await source.look(never);
  await source.look(never);
  expect(done).toBe(14);
  files.files.push({ url: 's3://lake/in/a b(c).csv', etag: '"e1"' });
  let elapsed = 0;
  const listing = filesSource({ store, files, pipeline: 'landed', schedule: landing, elapsed: () => elapsed });
  await listing.look(never);
  elapsed = 40_000;
  await listing.look(never);
  await look();
  expect((await runs()).map(({ params }) => params)).toEqual([
    { file: 's3://lake/in/a b(c).csv', etag: 'e1' },
    { file: 's3://lake/in/plus+is.csv', etag: 'e2' },
  ]);
});

it('each success of another pipeline starts one run, for the same time and window, also one that came while nobody looked', async () => {
  const before = await deployed('upstream', { kind: 'manual' });
  const launched = async (key: string) => {
    const logicalTime = '2026-03-29T01:00:00.000Z';
    const window = { start: '2026-03-28T01:00:00.000Z', end: logicalTime };
    return (await before.launch.launch({ pipeline: 'upstream', logicalTime, window, params: {}, idempotencyKey: key })).run;
  };
  await world.end(await launched('long ago'), 'succeeded');
  const { store, look } = await deployed('landed', onSuccess({ name: 'upstream' }));
  const failed = await launched('failed');
  await world.end(await launched('well'), 'succeeded');
  await world.end(failed, 'failed');
  const sources = [store, await world.open()].map((one) => successSource(one, 'landed', 'upstream'));
  const lookAll = async () => {
    await Promise.all(sources.map((source) => source.look(never)));
    await look();
  };
  await lookAll();
  expect(await runs()).toMatchObject([{ logicalTime: '2026-03-29T01:00:00.000Z', window: { start: '2026-03-28T01:00:00.000Z' } }]);
  // Mended and done: it has succeeded now, if late.
  await world.runs.transition(failed, () => [{ type: 'run.reopened', stages: ['a'], redone: [] }]);
  await world.end(failed, 'succeeded');
  await lookAll();
  await lookAll();
  expect(await runs()).toHaveLength(2);
});

it('a row of the trigger table starts a run, committed or not at all, also while nobody listens; and each once', {
  timeout: 120_000,
}, async () => {
  const shop = await testDatabase();
  open.push(shop);
  const made = await deployed('landed', onNotify('orders'), { payload: null });
  const sourceOn = async () =>
    notifySource({ store: await world.open(), pipelines: ['landed'], channel: 'orders', database: shop.url, everyMs: 200 });
  const start = async () => Scheduler.start({ ...made, everyMs: 50, sources: [await sourceOn()] });
  const first = await start();
  await vi.waitFor(async () => expect(await shop.sql('select 1 from _millrace.trigger')).toEqual([]), patient);
  await first[Symbol.asyncDispose]();
  await shop.sql(`insert into _millrace.trigger (channel, payload) select 'orders', n::text from generate_series(1, 20) n`);
  await shop.sql(`insert into _millrace.trigger (channel, payload) values ('others', 'x')`);
  const schedulers = await Promise.all([start(), start()]);
  open.push(...schedulers);
  await vi.waitFor(async () => expect(await runs()).toHaveLength(20), patient);
  await shop.sql(
    `do $$ begin insert into _millrace.trigger (channel) values ('orders'); raise exception 'no'; exception when others then null; end $$`,
  );
  await shop.sql(`insert into _millrace.trigger (channel, payload) values ('orders', '21')`);
  await vi.waitFor(async () => expect(await runs()).toHaveLength(21), patient);
  expect((await runs()).map(({ params }) => Number(params['payload'])).sort((a, b) => a - b)).toEqual(
    Array.from({ length: 21 }, (_, i) => i + 1),
  );
  expect(await shop.sql('select channel from _millrace.trigger')).toEqual([{ channel: 'others' }]);
});

it('a NOTIFY starts one run however many schedulers there are, also after the session was cut', { timeout: 120_000 }, async () => {
  const shop = await testDatabase();
  open.push(shop);
  const made = await deployed('landed', onNotify('orders'), { payload: null });
  const start = async () =>
    Scheduler.start({
      ...made,
      everyMs: 50,
      sources: [notifySource({ store: await world.open(), pipelines: ['landed'], channel: 'orders', database: shop.url, everyMs: 200 })],
    });
  open.push(await start(), await start());
  const told = async (payload: string) => (await runs()).filter(({ params }) => params['payload'] === payload).length;
  await vi.waitFor(async () => {
    await shop.sql(`notify orders, 'one'`);
    expect(await told('one')).toBeGreaterThan(0);
  }, patient);
  for (const payload of ['two', 'three']) {
    await shop.sql(`notify orders, '${payload}'`);
    await vi.waitFor(async () => expect(await told(payload)).toBe(1), patient);
  }
  // Both have looked again by now.
  await shop.sql(`insert into _millrace.trigger (channel, payload) values ('orders', 'row')`);
  await vi.waitFor(async () => expect(await told('row')).toBe(1), patient);
  expect([await told('two'), await told('three')]).toEqual([1, 1]);
  await shop.sql(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'millrace trigger'`);
  await vi.waitFor(async () => {
    await shop.sql(`notify orders, 'four'`);
    expect(await told('four')).toBeGreaterThan(0);
  }, patient);
});

it('while a schedule is paused what happens is kept, and started when it goes on', async () => {
  const { store, look } = await deployed('landed', onNotify('orders'));
  await store.pause('landed', true);
  const tick = { cause: 'notify', logicalTime: null, window: null, params: {}, onTime: true, state: 'waiting', because: null } as const;
  await store.offer('landed', [{ ...tick, key: 'notify:1' }]);
  await store.offer('landed', [{ ...tick, key: 'request:1', cause: 'request' }]);
  await look();
  expect((await runs()).map(({ idempotencyKey }) => idempotencyKey)).toEqual(['request:1']);
  await store.pause('landed', false);
  await look();
  expect(await runs()).toHaveLength(2);
});
