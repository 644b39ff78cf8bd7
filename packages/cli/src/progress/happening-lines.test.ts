import { pathToFileURL } from 'node:url';
import type { Happening } from '@millrace/worker/observe';
import pc from 'picocolors';
import { expect, test } from 'vitest';
import { happeningText } from './happening-lines.ts';

const run = { run: '20261122T140211-k3x9f2', pipeline: 'nightly', at: '2026-11-22T14:02:11.000Z' };
const attempt = { ...run, stage: 'copied', epoch: 2, attempt: 2, worker: 'w' };
const here = pathToFileURL(process.cwd()).href;
const error = {
  code: 'FUNCTION_FAILED',
  message: 'Step "facts", row 76:\nno',
  remedy: 'Mend it.',
  facts: { stack: `Error: no\n    at toFact (${here}/pipelines/nightly.ts:21:31)\n    at elsewhere` },
} as const;

test.each<[Happening, text: string]>([
  [{ type: 'run.started', ...run, waitedMs: 10 }, 'run 20261122T140211-k3x9f2 begins'],
  [{ type: 'attempt.started', ...attempt, waitedMs: 1, recovers: false, kind: 'rows', needs: [] }, 'copied  running, attempt 2'],
  [{ type: 'attempt.started', ...attempt, attempt: 1, waitedMs: 1, recovers: true, kind: 'rows', needs: [] }, 'copied  taken up again'],
  [
    { type: 'attempt.ended', ...attempt, result: 'succeeded', durationMs: 900, rows: 1000, bytes: 45_100, error: null },
    'copied  succeeded  1,000 rows, 45.1 kB in 0.9 s',
  ],
  [
    { type: 'attempt.ended', ...attempt, result: 'failed', durationMs: 900, rows: 0, bytes: 0, error },
    'copied  failed in 0.9 s: FUNCTION_FAILED Step "facts", row 76:\\nno, at toFact (pipelines/nightly.ts:21:31). Mend it.',
  ],
  [
    { type: 'run.ended', ...run, result: 'failed', durationMs: 6_200, error },
    'run 20261122T140211-k3x9f2 failed in 6.2 s: FUNCTION_FAILED',
  ],
])('%j', (one, text) => {
  expect(happeningText(one, pc.createColors(false))).toBe(text);
});
