/** One load that is sent to a URL, in a process of its own, for tests that kill it: its argument is JSON. */
import { int4, table } from '@millrace/core';
import type { Target } from '@millrace/core/runtime';
import { testContext as freshContext } from '@millrace/core/testing';
import { http } from '../src/http/index.ts';
import { s3 } from '../src/s3/index.ts';
import { loadRows } from './load.ts';

const { url, epoch, ledger } = JSON.parse(process.argv[2] ?? '{}') as { url: string; epoch: number; ledger?: string };
const ids = table('ids', { id: int4() }, { key: ['id'] });
const target = http({ url, retry: { delay: '1ms' } }).post('import', {
  batchRows: 2,
  ...(ledger && { ledger: s3({ url: ledger }) }),
}) as Target<never>;

loadRows(target, {
  epoch,
  schema: ids,
  window: ledger ? { column: 'id', low: null, high: '6' } : null,
  splits: [
    [{ id: 1 }, { id: 2 }, { id: 3 }],
    [{ id: 4 }, { id: 5 }],
  ],
  context: freshContext(),
}).then(
  ({ rows }) => process.stdout.write(`${rows}\n`),
  (error: unknown) => {
    process.stderr.write(`${String(error)}\n`);
    process.exitCode = 1;
  },
);
