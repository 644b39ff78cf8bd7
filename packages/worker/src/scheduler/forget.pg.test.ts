import { daily } from '@millrace/core/runtime';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type ScheduleWorld, scheduled, scheduleWorld } from '../../test/schedule-world.ts';
import { expectedRuns } from './expected.ts';
import { deploy, tickOnce } from './ticking.ts';

let world: ScheduleWorld;
beforeEach(async () => {
  world = await scheduleWorld();
});
afterEach(() => world[Symbol.asyncDispose]());

const silence = (pipeline: string) =>
  world.database.sql(`update millrace.schedule set served_at = clock_timestamp() - interval '2 minutes' where pipeline = $1`, [pipeline]);

it('a schedule whose pipeline is gone is forgotten with its ticks; its runs stay, and what is deployed again begins anew', async () => {
  const pipelines = new Map([scheduled('nightly', daily('02:00')), scheduled('other', daily('03:00'))]);
  const one = { store: world.store, launch: world.launch(pipelines), pipelines };
  await deploy(one);
  await world.asleep('nightly', '2 days');
  await tickOnce(one);
  expect(await world.runsOf('nightly')).toHaveLength(1);

  expect(await world.store.forget('nightly', 90_000)).toBe('served');
  await silence('nightly');
  expect(await world.store.forget('nightly', 90_000)).toBe('forgotten');
  expect(await world.store.forget('nightly', 90_000)).toBe('unknown');
  expect(await world.store.ticks('nightly', 10)).toEqual([]);
  expect((await world.store.schedules()).map(({ pipeline }) => pipeline)).toEqual(['other']);
  expect(await world.runsOf('nightly')).toHaveLength(1);

  await deploy(one, ['nightly']);
  await tickOnce(one);
  expect(await world.runsOf('nightly')).toHaveLength(1);
});

it('a run that should have succeeded by now is expected, whoever asks, also where no scheduler has made it', async () => {
  const pipelines = new Map([scheduled('nightly', daily('02:00', 'UTC', { within: '1m' })), scheduled('other', daily('02:00'))]);
  await deploy({ store: world.store, pipelines });
  expect(await expectedRuns(world.store)()).toEqual([]);
  await world.database.sql(`update millrace.schedule set next_at = date_trunc('minute', clock_timestamp()) - interval '10 minutes'`);
  const [late, ...others] = await expectedRuns(world.store)();
  expect(others).toEqual([]);
  expect(late?.pipeline).toBe('nightly');
  expect(Date.parse(late?.deadline as string) - Date.parse(late?.logicalTime as string)).toBe(60_000);
});
