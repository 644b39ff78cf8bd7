import { expect, test } from 'vitest';
import { isOnHistory, placeOf, positions, readHistory } from './stream-position.ts';

const history = readHistory(3, '1\t0/5000060\tno recovery target specified\n\n2\t1/0\tbefore 2026-03-29 00:00:00+00\n');

test('a history file tells where each timeline ended', () => {
  expect(history).toEqual({
    current: 3,
    earlier: [
      { timeline: 1, end: 0x5000060n },
      { timeline: 2, end: 0x1_0000_0000n },
    ],
  });
});

test('an LSN has the position that it had on the timeline it was written on, and positions sort as the log goes', () => {
  const toPosition = positions(history);
  const lsns = [0x10n, 0x5000060n, 0x5000061n, 0x1_0000_0000n, 0x1_0000_0001n, 0xff_0000_0000n];
  const made = lsns.map(toPosition);
  expect(made).toEqual([
    '000000010000000000000010',
    '000000010000000005000060',
    '000000020000000005000061',
    '000000020000000100000000',
    '000000030000000100000001',
    '00000003000000FF00000000',
  ]);
  expect([...made].sort()).toEqual(made);
  expect(made.map(placeOf).map(({ lsn }) => lsn)).toEqual(lsns);
  expect(positions({ current: 1, earlier: [] })(0x10n)).toBe(made[0]);
});

test('a place is on the history up to where its timeline ended', () => {
  expect(isOnHistory({ timeline: 1, lsn: 0x5000060n }, history)).toBe(true);
  expect(isOnHistory({ timeline: 1, lsn: 0x5000061n }, history)).toBe(false);
  expect(isOnHistory({ timeline: 3, lsn: 0xffff_0000_0000n }, history)).toBe(true);
  expect(isOnHistory({ timeline: 4, lsn: 1n }, history)).toBe(false);
});

test('what is no position is refused', () => {
  expect(() => placeOf('0/16B3748' as never)).toThrow(/no position/);
});
