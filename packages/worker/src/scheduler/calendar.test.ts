import { cron, type Schedule } from '@millrace/core/runtime';
import { Cron } from 'croner';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lastTimes, nextTime, nextTimes, previousTime } from './calendar.ts';

type CronSchedule = Extract<Schedule, { kind: 'cron' }>;
const at = (expression: string, timeZone = 'UTC') => cron(expression, timeZone) as CronSchedule;
const iso = (dates: readonly Date[]) => dates.map((date) => date.toISOString().replace(':00.000Z', 'Z'));

describe('where the clocks change', () => {
  // [time zone, expression, from, until, the times in UTC]
  test.each<[what: string, timeZone: string, expression: string, from: string, until: string, times: string[]]>([
    [
      'a time that the clock leaves out comes once, right after the gap',
      'Europe/Paris',
      '30 2 * * *',
      '2026-03-28T00:00Z',
      '2026-03-31T00:00Z',
      ['2026-03-28T01:30Z', '2026-03-29T01:00Z', '2026-03-30T00:30Z'],
    ],
    [
      'several times in one gap are one, and one with the time that ends it',
      'Europe/Paris',
      '0,20,40 2,3 * * *',
      '2026-03-29T00:00Z',
      '2026-03-29T02:00Z',
      ['2026-03-29T01:00Z', '2026-03-29T01:20Z', '2026-03-29T01:40Z'],
    ],
    [
      'a time that the clock shows twice counts the first time',
      'Europe/Paris',
      '30 2 * * *',
      '2026-10-24T00:00Z',
      '2026-10-27T00:00Z',
      ['2026-10-24T00:30Z', '2026-10-25T00:30Z', '2026-10-26T01:30Z'],
    ],
    [
      'every quarter of an hour goes on through the gap',
      'Europe/Paris',
      '*/15 * * * *',
      '2026-03-29T00:29Z',
      '2026-03-29T01:31Z',
      ['2026-03-29T00:30Z', '2026-03-29T00:45Z', '2026-03-29T01:00Z', '2026-03-29T01:15Z', '2026-03-29T01:30Z'],
    ],
    [
      'every half hour runs in both of two equal hours',
      'Europe/Paris',
      '*/30 * * * *',
      '2026-10-24T23:59Z',
      '2026-10-25T02:00Z',
      ['2026-10-25T00:00Z', '2026-10-25T00:30Z', '2026-10-25T01:00Z', '2026-10-25T01:30Z', '2026-10-25T02:00Z'],
    ],
    [
      'New York in spring',
      'America/New_York',
      '30 2 * * *',
      '2026-03-07T12:00Z',
      '2026-03-10T00:00Z',
      ['2026-03-08T07:00Z', '2026-03-09T06:30Z'],
    ],
    [
      'New York in autumn, fixed and by the hour',
      'America/New_York',
      '30 1 * * *',
      '2026-11-01T00:00Z',
      '2026-11-02T12:00Z',
      ['2026-11-01T05:30Z', '2026-11-02T06:30Z'],
    ],
    [
      'New York in autumn, at half past every hour',
      'America/New_York',
      '30 * * * *',
      '2026-11-01T05:00Z',
      '2026-11-01T07:45Z',
      ['2026-11-01T05:30Z', '2026-11-01T06:30Z', '2026-11-01T07:30Z'],
    ],
    [
      'Lord Howe puts its clocks forward by half an hour: 02:15 is not there',
      'Australia/Lord_Howe',
      '15 2 * * *',
      '2026-10-02T16:00Z',
      '2026-10-05T00:00Z',
      ['2026-10-03T15:30Z', '2026-10-04T15:15Z'],
    ],
    [
      'Lord Howe, a time beside the gap',
      'Australia/Lord_Howe',
      '45 2 * * *',
      '2026-10-02T16:30Z',
      '2026-10-05T00:00Z',
      ['2026-10-03T15:45Z', '2026-10-04T15:45Z'],
    ],
    [
      'Lord Howe puts them back: 01:45 comes twice',
      'Australia/Lord_Howe',
      '45 1 * * *',
      '2026-04-03T15:00Z',
      '2026-04-06T00:00Z',
      ['2026-04-04T14:45Z', '2026-04-05T15:15Z'],
    ],
    [
      'Lord Howe, every quarter of an hour runs in both',
      'Australia/Lord_Howe',
      '*/15 * * * *',
      '2026-04-04T14:29Z',
      '2026-04-04T15:30Z',
      ['2026-04-04T14:30Z', '2026-04-04T14:45Z', '2026-04-04T15:00Z', '2026-04-04T15:15Z', '2026-04-04T15:30Z'],
    ],
    [
      'Kathmandu is five hours and three quarters ahead, all year',
      'Asia/Kathmandu',
      '0 6 * * *',
      '2026-03-28T12:00Z',
      '2026-03-31T00:00Z',
      ['2026-03-29T00:15Z', '2026-03-30T00:15Z'],
    ],
    ['UTC knows no change', 'UTC', '30 2 * * *', '2026-03-28T12:00Z', '2026-03-30T12:00Z', ['2026-03-29T02:30Z', '2026-03-30T02:30Z']],
    [
      'a day that begins with a gap begins at one',
      'Asia/Beirut',
      '0 0 * * *',
      '2026-03-27T00:00Z',
      '2026-03-30T00:00Z',
      ['2026-03-27T22:00Z', '2026-03-28T22:00Z', '2026-03-29T21:00Z'],
    ],
  ])('%s', (_, timeZone, expression, from, until, times) => {
    expect(iso(nextTimes(at(expression, timeZone), new Date(from), new Date(until)))).toEqual(times);
  });

  test.each(['Europe/Paris', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'UTC'])(
    'in %s a day has one run of each fixed time, in every day of three years',
    (timeZone) => {
      const date = new Intl.DateTimeFormat('sv-SE', { timeZone });
      for (const time of ['0 0 * * *', '45 1 * * *', '15 2 * * *', '0 3 * * *', '59 23 * * *']) {
        const times = nextTimes(at(time, timeZone), new Date('2026-01-01T12:00Z'), new Date('2029-01-01T12:00Z'));
        expect(times.length).toBe(1096);
        expect(new Set(times.map((one) => date.format(one))).size).toBe(1096);
      }
    },
  );

  test.each(['Europe/Paris', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu'])(
    'in %s a quarter of an hour is one',
    (timeZone) => {
      const times = nextTimes(at('*/15 * * * *', timeZone), new Date('2026-01-01T00:00Z'), new Date('2027-01-01T00:00Z'));
      expect(times.every((time, i) => i === 0 || time.getTime() - (times[i - 1] as Date).getTime() === 900_000)).toBe(true);
      expect(times).toHaveLength(365 * 96);
    },
  );
});

test.each<[expression: string, after: string, next: string | null]>([
  ['0 6 * * 1-5', '2026-11-20T07:00Z', '2026-11-23T06:00Z'],
  ['0 6 * * mon-fri', '2026-11-20T07:00Z', '2026-11-23T06:00Z'],
  ['0 0 29 2 *', '2026-01-01T00:00Z', '2028-02-29T00:00Z'],
  ['0 0 29 2 *', '2096-03-01T00:00Z', '2104-02-29T00:00Z'],
  ['0 0 L * *', '2026-02-01T00:00Z', '2026-02-28T00:00Z'],
  ['0 0 15,L * *', '2026-02-16T00:00Z', '2026-02-28T00:00Z'],
  ['0 0 13 * 5', '2026-11-14T00:00Z', '2026-11-20T00:00Z'],
  ['0 0 * * 7', '2026-11-22T12:00Z', '2026-11-29T00:00Z'],
  ['10-40/10 8 * * *', '2026-11-22T08:10Z', '2026-11-22T08:20Z'],
  ['0 6 * * * | 30 18 * * *', '2026-11-22T06:00Z', '2026-11-22T18:30Z'],
])('after %s at %s comes %s', (expression, after, next) => {
  expect(nextTime(at(expression), new Date(after))?.toISOString().replace(':00.000Z', 'Z')).toBe(next);
});

test('the time before is the one of which this is the next', () => {
  const schedule = at('30 2 * * *', 'Europe/Paris');
  for (const time of nextTimes(schedule, new Date('2026-03-27T00:00Z'), new Date('2026-03-31T00:00Z')))
    expect(nextTime(schedule, previousTime(schedule, time) as Date)).toEqual(time);
  expect(previousTime(at('0 0 29 2 *'), new Date('2028-02-29T00:00Z'))?.toISOString()).toBe('2024-02-29T00:00:00.000Z');
});

test('the newest times of ten years of minutes take no longer than those of a day', () => {
  const began = performance.now();
  const times = lastTimes(at('* * * * *', 'Europe/Paris'), new Date('2016-01-01T00:00Z'), new Date('2026-01-01T00:00Z'), 1000);
  expect(times).toHaveLength(1000);
  expect(times.at(-1)?.toISOString()).toBe('2026-01-01T00:00:00.000Z');
  expect(performance.now() - began).toBeLessThan(2_000);
});

test('where no clock changes the times are those of another implementation', () => {
  const number = (from: number, to: number) => fc.integer({ min: from, max: to }).map(String);
  const range = (from: number, to: number) =>
    fc.tuple(fc.integer({ min: from, max: to }), fc.integer({ min: from, max: to })).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`);
  const field = (from: number, to: number) =>
    fc.oneof(
      fc.constant('*'),
      fc.integer({ min: 2, max: 12 }).map((step) => `*/${step}`),
      number(from, to),
      range(from, to),
    );
  const expression = fc
    .tuple(
      field(0, 59),
      field(0, 23),
      fc.oneof(fc.constant('*'), number(1, 28), range(1, 31)),
      field(1, 12),
      fc.oneof(fc.constant('*'), range(0, 6)),
    )
    .map((parts) => parts.join(' '))
    .filter((text) => !/^\S+ \S+ (29|30|31)-/.test(text));
  fc.assert(
    fc.property(expression, fc.date({ min: new Date('2020-01-01'), max: new Date('2040-01-01'), noInvalidDate: true }), (text, after) => {
      const other = new Cron(text, { timezone: 'UTC', paused: true }).nextRuns(5, after);
      let time: Date | null = after;
      for (const expected of other) {
        time = nextTime(at(text), time as Date);
        expect(time, text).toEqual(expected);
      }
    }),
    { numRuns: 200 },
  );
});
