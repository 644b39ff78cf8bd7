import { daily, manual } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { sliceRange } from './backfill-range.ts';

const paris = daily('02:00', 'Europe/Paris');

test('days are those of the time zone, also the one that has 23 hours', () => {
  expect(sliceRange({ start: '2026-03-27T23:00:00Z', end: '2026-03-30T22:00:00Z', by: 'day' }, paris)).toEqual([
    { logicalTime: '2026-03-27T23:00:00.000Z', window: { start: '2026-03-27T23:00:00.000Z', end: '2026-03-28T23:00:00.000Z' } },
    { logicalTime: '2026-03-28T23:00:00.000Z', window: { start: '2026-03-28T23:00:00.000Z', end: '2026-03-29T22:00:00.000Z' } },
    { logicalTime: '2026-03-29T22:00:00.000Z', window: { start: '2026-03-29T22:00:00.000Z', end: '2026-03-30T22:00:00.000Z' } },
  ]);
});

test('by the schedule they are its own times, with the windows of its runs', () => {
  expect(sliceRange({ start: '2026-03-28T00:00:00Z', end: '2026-03-30T00:00:00Z', by: 'schedule' }, paris)).toEqual([
    { logicalTime: '2026-03-28T01:00:00.000Z', window: { start: '2026-03-27T01:00:00.000Z', end: '2026-03-28T01:00:00.000Z' } },
    { logicalTime: '2026-03-29T01:00:00.000Z', window: { start: '2026-03-28T01:00:00.000Z', end: '2026-03-29T01:00:00.000Z' } },
  ]);
});

test.each([
  ['hour', '2026-10-25T00:00:00Z', '2026-10-26T00:00:00Z', 24],
  ['week', '2026-01-01T00:00:00Z', '2027-01-01T00:00:00Z', 52],
  ['month', '2025-01-01T00:00:00Z', '2027-01-01T00:00:00Z', 24],
  ['day', '2025-01-01T00:00:00Z', '2026-02-05T00:00:00Z', 400],
] as const)('%ss from %s to %s', (by, start, end, count) => {
  const slices = sliceRange({ start, end, by }, manual);
  expect(slices).toHaveLength(count);
  for (const [i, { window }] of slices.entries()) if (i > 0) expect(window.start).toBe(slices[i - 1]?.window.end);
});

test.each([
  ['schedule', '2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z', 'no times of its own'],
  ['day', '2026-01-01T10:00:00Z', '2026-01-01T20:00:00Z', 'No day begins'],
  ['hour', '2000-01-01T00:00:00Z', '2026-01-01T00:00:00Z', 'runs'],
] as const)('by %s from %s to %s is refused', (by, start, end, message) => {
  expect(() => sliceRange({ start, end, by }, manual)).toThrow(
    expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(message) }),
  );
});
