import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { rowsOf } from '../batch/index.ts';
import type { Target } from '../connector/index.ts';
import { RejectSpool } from './reject-spool.ts';

test('rows come back to the letter, whatever their text takes for the end of a line', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-spool-'));
  try {
    const rule = { quarantine: {} as Target<unknown, 'rows'> };
    const spool = new RejectSpool({ step: 'facts', rule, pipeline: 'p', directory, now: () => new Date(0) });
    const texts = ['\u2028', '\u2029', '\u0085', '\r', '\n', '\r\n', '\\u2028', '\ufeff', '"'];
    for (const [ordinal, row] of texts.entries()) spool.reject({ split: 's', ordinal, row, error: new Error(`why ${row}`) });
    const rows: Record<string, unknown>[] = [];
    for await (const batch of spool.batches('load')) rows.push(...rowsOf(batch));
    expect(rows.map(({ row, reason }) => [row, reason])).toEqual(texts.map((text) => [text, `why ${text}`]));
  } finally {
    rmSync(directory, { recursive: true });
  }
});
