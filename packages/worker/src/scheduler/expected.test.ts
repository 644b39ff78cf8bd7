import { type CronOptions, type CronSchedule, daily, hourly, type Tick } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { passed } from './expected.ts';

const now = new Date('2026-03-10T12:00:00.000Z');
const nightly = (options: CronOptions = {}) => daily('02:00', 'UTC', options) as CronSchedule;
const schedule = (options: { paused?: boolean; nextAt?: string } = {}) => ({
  pipeline: 'nightly',
  paused: false,
  nextAt: '2026-03-11T02:00:00.000Z',
  ...options,
});
const tick = (logicalTime: string, more: Partial<Tick> = {}): Tick => ({
  pipeline: 'nightly',
  key: `schedule:${logicalTime}`,
  cause: 'schedule',
  logicalTime,
  window: null,
  params: {},
  onTime: true,
  state: 'started',
  because: null,
  run: 'r',
  madeAt: logicalTime,
  ...more,
});
const tenth = '2026-03-10T02:00:00.000Z';

test('a run should have succeeded within what the schedule says, else before the next time', () => {
  expect(passed(schedule(), nightly({ within: '2h' }), [tick(tenth)], now)).toEqual([
    { pipeline: 'nightly', logicalTime: tenth, deadline: '2026-03-10T04:00:00.000Z' },
  ]);
  expect(passed(schedule(), nightly({ within: '11h' }), [tick(tenth)], now)).toEqual([]);
  const ninth = '2026-03-09T02:00:00.000Z';
  expect(passed(schedule(), nightly(), [tick(tenth), tick(ninth)], now)).toMatchObject([{ logicalTime: ninth, deadline: tenth }]);
});

test('a schedule of many times a day has an hour for each', () => {
  const often = { ...(hourly(0) as CronSchedule), expression: '*/5 * * * *' };
  const ticks = ['2026-03-10T11:00:00.000Z', '2026-03-10T11:05:00.000Z'].map((time) => tick(time));
  expect(passed(schedule(), often, ticks, now)).toMatchObject([{ logicalTime: '2026-03-10T11:00:00.000Z' }]);
});

test('times that the policies leave out are not expected, and events are not', () => {
  const left = [tick(tenth, { state: 'missed' }), tick(tenth, { state: 'skipped' }), tick(tenth, { cause: 'request' })];
  expect(passed(schedule(), nightly({ within: '1h' }), left, now)).toEqual([]);
});

test('a time that is made up for has as long, from when that was decided', () => {
  const late = tick(tenth, { onTime: false, madeAt: '2026-03-10T09:30:00.000Z' });
  expect(passed(schedule(), nightly({ within: '2h' }), [late], now)).toMatchObject([{ deadline: '2026-03-10T11:30:00.000Z' }]);
});

test('where no scheduler makes the run, its time is expected all the same, unless somebody has paused it', () => {
  const due = { nextAt: tenth };
  expect(passed(schedule(due), nightly({ within: '2h' }), [], now)).toMatchObject([{ logicalTime: tenth }]);
  expect(passed(schedule({ ...due, paused: true }), nightly({ within: '2h' }), [], now)).toEqual([]);
});

test('what was late more than a day ago is history', () => {
  expect(passed(schedule(), nightly({ within: '2h' }), [tick('2026-03-08T02:00:00.000Z')], now)).toEqual([]);
});
