import { expect, test } from 'vitest';
import { bytes, count, duration, rate } from './amount.ts';
import { alignedTable } from './table.ts';
import { displayWidth, fitTo, onOneLine } from './width.ts';

test('columns line up whatever stands in the cells', () => {
  const lines = alignedTable(
    [{ title: 'name' }, { title: 'rows', align: 'right' }],
    [
      ['日本', '1'],
      ['\u001b[31mred\u001b[0m', '22'],
      ['🚚', '333'],
    ],
  );
  expect(lines).toEqual(['name  rows', '日本     1', '\u001b[31mred\u001b[0m     22', '🚚     333']);
  expect(new Set(lines.map(displayWidth)).size).toBe(1);
});

test('a text is cut at a character, never inside one', () => {
  expect(fitTo('naïve café', 6)).toBe('naïve…');
  expect(fitTo('日本語', 5)).toBe('日本…');
  expect(fitTo('fits', 4)).toBe('fits');
});

test('what would move the cursor is shown as an escape', () => {
  expect(onOneLine('a\r\nb\u001b[2J')).toBe('a\\r\\nb\\u001b[2J');
});

test('amounts keep the digits that matter', () => {
  expect([count(1_234_567), count(-1000n)]).toEqual(['1,234,567', '-1,000']);
  expect([bytes(0), bytes(999), bytes(1500), bytes(123_456_789)]).toEqual(['0 B', '999 B', '1.50 kB', '123 MB']);
  expect([rate(500_000, 4000), rate(10, 1000), rate(0, 0)]).toEqual(['125 k/s', '10/s', '']);
  expect([duration(400), duration(61_000), duration(185_000), duration(7_620_000)]).toEqual([
    '0.4 s',
    '61.0 s',
    '3 min 05 s',
    '2 h 07 min',
  ]);
});
