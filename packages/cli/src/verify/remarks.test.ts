import type { Window } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import type { Comparison } from './compare.ts';
import { remarks, uncompared, uncomparedReason } from './remarks.ts';
import type { TargetResult } from './verify-target.ts';

const result = (windows: (Window | null)[], onlyStored: number): TargetResult => ({
  ...{
    steps: ['loaded'],
    object: 'public.orders',
    connection: 'secret(X)',
    equal: onlyStored === 0,
    windows,
    unfit: 0,
    differences: [],
    reason: null,
  },
  rows: { expected: 10, stored: 10 + onlyStored },
  comparison: { onlyStored, setAside: 0 } as Comparison,
});
const window: Window = { column: 'updated_at', low: null, high: '2026-03-29' };

test('rows that only the target of an incremental load has were probably deleted at the source', () => {
  expect(remarks(result([window], 3)).join('\n')).toMatch(
    /3 rows only at the target: probably deleted at the source.*"updated_at".*mode: 'replace'/,
  );
  expect(remarks(result([null, window], 1)).join('\n')).toContain('1 row only at the target');
});

test('where nothing is only at the target, or all rows are read, nothing is guessed', () => {
  expect(remarks(result([window], 0))).toEqual(['compared up to the checkpoint of its load, updated_at below 2026-03-29']);
  expect(remarks(result([null], 3))).toEqual([]);
});

test('what was not compared is named beside the outcome, once for all its tables', () => {
  const log = { steps: ['archived'], reason: uncomparedReason('change log') };
  expect(uncompared([{ steps: ['mirrored'], reason: null }, log, log])).toBe(' Not compared: archived (change log).');
  expect(uncompared([{ steps: ['mirrored'], reason: 'nothing has been loaded yet' }])).toBe('');
});
