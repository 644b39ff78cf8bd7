import { date, int8, timestamp, timestamptz } from '@millrace/core';
import type { ColumnType } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { placesOf, rowForm } from './form.ts';

const form = rowForm({ key: 'row:<id>', sorted: [{ key: 'rows', score: 'at' }] });
const score = (type: ColumnType, text: string | null) =>
  [
    ...placesOf(
      form,
      new Map([['at', type]]),
      new Map([
        ['id', '1'],
        ['at', text],
      ]),
    ).values(),
  ][0]?.score;
const ms = (year: number, month = 1, day = 1, ...clock: number[]) => {
  const at = new Date(0);
  at.setUTCFullYear(year, month - 1, day);
  at.setUTCHours(clock[0] ?? 0, clock[1] ?? 0, clock[2] ?? 0, clock[3] ?? 0);
  return String(at.getTime());
};

test.each([
  [date().type, '2024-02-29', ms(2024, 2, 29)],
  [date().type, '0001-01-01', ms(1)],
  [date().type, '0044-03-15 BC', ms(-43, 3, 15)],
  [date().type, '0001-12-31 BC', ms(0, 12, 31)],
  [date().type, '4713-01-01 BC', ms(-4712)],
  [date().type, '275760-01-01', ms(275_760)],
  [date().type, '294276-12-31', String(Number(ms(294_276 - 400 * 100, 12, 31)) + 100 * 146_097 * 86_400_000)],
  [timestamp().type, '0044-03-15 12:30:00.5 BC', ms(-43, 3, 15, 12, 30, 0, 500)],
  [timestamp().type, '2024-02-29 12:30:00.5', ms(2024, 2, 29, 12, 30, 0, 500)],
  [timestamptz().type, '4713-01-01 00:00:01+00 BC', ms(-4712, 1, 1, 0, 0, 1)],
  [timestamptz().type, '10000-01-01 00:00:00+00', ms(10_000)],
  [timestamptz().type, '-infinity', '-inf'],
  [int8().type, '-5', '-5'],
])('%j %s has the score %s', (type, text, expected) => {
  expect(score(type, text)).toBe(expected);
});

test('a row without a score is in no set', () => {
  expect(score(date().type, null)).toBeUndefined();
});
