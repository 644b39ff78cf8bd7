import { expect, test } from 'vitest';
import { instantOf, windowOf } from './run-request.ts';

test.each([
  ['2026-03-29', 'UTC', '2026-03-29T00:00:00.000Z'],
  ['2026-01-10', 'Europe/Paris', '2026-01-09T23:00:00.000Z'],
  ['2026-07-10', 'Europe/Paris', '2026-07-09T22:00:00.000Z'],
  ['2026-07-10', 'Pacific/Kiritimati', '2026-07-09T10:00:00.000Z'],
  ['2026-07-10', 'America/Los_Angeles', '2026-07-10T07:00:00.000Z'],
  // The clock goes from 23:59:59 to 01:00:00 there: the day begins at one.
  ['2024-03-31', 'Asia/Beirut', '2024-03-30T22:00:00.000Z'],
  ['2026-03-29T02:00:00Z', 'Europe/Paris', '2026-03-29T02:00:00.000Z'],
  ['2026-03-29T02:00+02:00', 'UTC', '2026-03-29T00:00:00.000Z'],
])('%s in %s is %s', (text, timeZone, instant) => {
  expect(instantOf(text, timeZone, '--date')).toBe(instant);
});

test.each(['2026-02-30', '2026-3-9', 'yesterday', '2026-03-29T02:00:00', ''])('%j is no date', (text) => {
  expect(() => instantOf(text, 'UTC', '--date')).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
});

test('a window has a start before its end', () => {
  expect(windowOf('2026-03-01..2026-03-08', 'UTC')).toEqual({ start: '2026-03-01T00:00:00.000Z', end: '2026-03-08T00:00:00.000Z' });
  for (const wrong of ['2026-03-01', '2026-03-08..2026-03-01', '2026-03-01..2026-03-01', 'a..b', '..']) {
    expect(() => windowOf(wrong, 'UTC')).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  }
});
