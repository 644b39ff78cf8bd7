import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { KeyedRow } from './keyed-rows.ts';
import { type Look, settle, type Unsettled } from './settle.ts';

const side = (rows: Readonly<Record<string, string>>): ReadonlyMap<string, KeyedRow> =>
  new Map(Object.entries(rows).map(([key, digest]) => [key, { digest, key: [key] }]));
const look = (expected: Record<string, string>, stored: Record<string, string>): Look => ({
  expected: side(expected),
  stored: side(stored),
});

const rows = (still: number, ...keys: string[]): Map<string, Unsettled> => new Map(keys.map((key) => [key, { key: [key], still }]));

test('a row that has arrived is equal, one that moves is looked at again, one that stands still is different', () => {
  const before = look({ arrived: '2', moves: '1', differs: '1', gone: '1' }, { arrived: '1', moves: '0', differs: '9', surplus: '1' });
  const now = look({ arrived: '2', moves: '2', differs: '1' }, { arrived: '2', moves: '1', differs: '9', surplus: '1' });
  const { equal, different, moving } = settle(rows(1, 'arrived', 'moves', 'differs', 'gone', 'surplus'), before, now);
  expect({ equal, different, moving: [...moving] }).toEqual({
    equal: 2,
    different: ['differs', 'surplus'],
    moving: [['moves', { key: ['moves'], still: 0 }]],
  });
});

test('nothing is different before the third look', () => {
  const same = look({ a: '1' }, { a: '2' });
  const first = settle(rows(0, 'a', 'b'), null, same);
  expect(first).toMatchObject({ equal: 1, different: [] });
  const second = settle(first.moving, same, same);
  expect([...second.moving]).toEqual([['a', { key: ['a'], still: 1 }]]);
  expect(settle(second.moving, same, same).different).toEqual(['a']);
});

test('rows of a target that follows its source in order never count as different, those that it has lost always do', () => {
  // Versions of a row are numbers that rise; the target has one that the source had when the target was read, or a later one.
  const row = fc.record({
    versions: fc.array(fc.nat(2), { minLength: 40, maxLength: 40 }),
    behind: fc.array(fc.nat(1), { minLength: 20 }),
  });
  fc.assert(
    fc.property(fc.array(row, { minLength: 1, maxLength: 8 }), fc.boolean(), (all, broken) => {
      const at = (steps: readonly number[], count: number) => steps.slice(0, count).reduce((sum, step) => sum + step, 0);
      let moving: ReadonlyMap<string, Unsettled> = rows(0, ...all.map((_, index) => String(index)));
      let before: Look | null = null;
      let found = false;
      for (let n = 0; n < 20; n++) {
        const expected = Object.fromEntries([...moving.keys()].map((key) => [key, String(at(all[Number(key)]?.versions ?? [], 2 * n))]));
        const stored = Object.fromEntries(
          [...moving.keys()].map((key) => {
            const { versions, behind } = all[Number(key)] as (typeof all)[0];
            return [key, broken && key === '0' ? 'lost' : String(at(versions, 2 * n + (behind[n] ?? 0)))];
          }),
        );
        const now = look(expected, stored);
        const settled = settle(moving, before, now);
        for (const key of settled.different) expect({ broken, key }).toEqual({ broken: true, key: '0' });
        if (settled.different.includes('0')) found = true;
        moving = settled.moving;
        before = now;
      }
      if (broken) expect(found || moving.has('0')).toBe(true);
    }),
    { numRuns: 300 },
  );
});
