import { expect, test } from 'vitest';
import { secret } from '../connector/index.ts';
import { parseCron } from './cron-expression.ts';
import { cron, daily, hourly, monthly, onChange, onFiles, onNotify, onSuccess, type Schedule, timeZoneOf, weekly } from './schedule.ts';

test.each<[Schedule, expression: string]>([
  [daily('02:00'), '0 2 * * *'],
  [daily(['06:00', '18:30', '20:00']), '0 6,20 * * * | 30 18 * * *'],
  [hourly(15), '15 * * * *'],
  [weekly('monday', '06:00'), '0 6 * * 1'],
  [weekly(['sunday', 'thursday'], '06:00'), '0 6 * * 0,4'],
  [monthly(1, '00:00'), '0 0 1 * *'],
  [monthly([15, 'last'], ['00:00', '12:00']), '0 0,12 15,L * *'],
])('%j', (schedule, expression) => {
  expect(schedule).toEqual({ kind: 'cron', expression, timeZone: 'UTC' });
  expect(Object.isFrozen(schedule)).toBe(true);
});

test('options stand in the schedule where they are given', () => {
  expect(daily('02:00', 'Europe/Paris', { catchUp: 'all', overlap: 'skip', within: '2h' })).toEqual({
    kind: 'cron',
    expression: '0 2 * * *',
    timeZone: 'Europe/Paris',
    catchUp: 'all',
    overlap: 'skip',
    within: '2h',
  });
  expect(onFiles('s3://lake/in/*.csv', { quiet: '1m' })).toEqual({ kind: 'files', pattern: 's3://lake/in/*.csv', quietMs: 60_000 });
  expect(onSuccess({ name: 'nightly' })).toEqual({ kind: 'success', of: 'nightly' });
  const nightly = { name: 'nightly', runs: daily('02:00', 'Europe/Paris') };
  expect(timeZoneOf(onSuccess({ name: 'then', runs: onSuccess(nightly) }))).toBe('Europe/Paris');
  expect(onNotify('orders')).toEqual({ kind: 'notify', channel: 'orders' });
  expect(onChange(['a.t', 'b', 'b'], { database: secret('URL'), on: ['update', 'insert'], quiet: '1m' })).toMatchObject({
    kind: 'notify',
    channel: expect.stringMatching(/^change-[0-9a-f]{16}$/),
    changes: { tables: ['a.t', 'b'], on: ['insert', 'update'], quietMs: 60_000 },
  });
});

test.each<[what: string, make: () => Schedule, message: string]>([
  ['a deadline that is none', () => daily('02:00', 'UTC', { within: '0h' }), 'within: "0h" is over at once'],
  ['four fields', () => cron('* * * *'), 'it has 4 fields, not five'],
  ['six fields', () => cron('0 * * * * *'), 'it has 6 fields'],
  ['nothing', () => cron(''), 'it has 0 fields'],
  ['a word', () => cron('@daily'), 'it has 1 fields'],
  ['minute 60', () => cron('60 * * * *'), '"60" is no minute (0 to 59)'],
  ['hour 24', () => cron('0 24 * * *'), '"24" is no hour'],
  ['day 0', () => cron('0 0 0 * *'), '"0" is no day of the month'],
  ['month 13', () => cron('0 0 1 13 *'), '"13" is no month'],
  ['a day nobody knows', () => cron('0 0 * * fun'), '"fun" is no day of the week'],
  ['a range backwards', () => cron('0 17-9 * * *'), '"17-9" ends before it begins'],
  ['no step', () => cron('*/0 * * * *'), '"*/0" makes no step'],
  ['a hole in a list', () => cron('1,,2 * * * *'), '"" is no minute'],
  ['the 30th of February', () => cron('0 0 30 2 *'), 'no month of those it names has such a day'],
  ['one of several', () => cron('0 6 * * * | never'), 'it has 1 fields'],
  ['25:00', () => daily('25:00'), '"25:00" is no time of the day'],
  ['no time at all', () => daily([]), 'never runs'],
  ['Mars', () => daily('02:00', 'Mars/Olympus'), '"Mars/Olympus" is no time zone'],
  ['an offset', () => daily('02:00', '+02:00'), '"+02:00" is no time zone'],
  ['an unknown policy', () => daily('02:00', 'UTC', { catchUp: 'some' as 'all' }), 'catchUp: "some" is not known'],
  ['an unknown option', () => daily('02:00', 'UTC', { retries: 3 } as object), 'no option "retries"'],
  ['a short weekday that is none', () => weekly('someday' as 'monday', '06:00'), '"someday" is no day of the week'],
  ['a folder', () => onFiles('s3://lake/in/'), 'names no files'],
  ['a table that is none', () => onChange('a..b', { database: secret('URL') }), 'is not the name of a table'],
  ['no table', () => onChange([], { database: secret('URL') }), 'is not the name of a table'],
  ['changes of nowhere', () => onChange('t', {} as never), 'not told in which database'],
  ['an operation that is none', () => onChange('t', { database: secret('URL'), on: ['merge' as never] }), 'is not an operation'],
  ['a URL in the plan', () => onNotify('orders', { database: 'postgres://u:p@h/d' as never }), 'would stand in the plan'],
])('%s is refused', (_, make, message) => {
  expect(make).toThrow(
    expect.objectContaining({ code: 'PIPELINE_INVALID', message: expect.stringContaining(message), remedy: expect.stringMatching(/\w/) }),
  );
});

test('names, ranges, steps and lists are read', () => {
  const [fields] = parseCron('5/20 8-18/5 1,L jan-mar,DEC mon-fri');
  expect([...(fields?.minutes ?? [])]).toEqual([5, 25, 45]);
  expect([...(fields?.hours ?? [])]).toEqual([8, 13, 18]);
  expect([...(fields?.months ?? [])]).toEqual([1, 2, 3, 12]);
  expect([...(fields?.weekdays ?? [])]).toEqual([1, 2, 3, 4, 5]);
  expect(fields).toMatchObject({ lastDay: true, eitherDay: true, everyHour: false });
});
