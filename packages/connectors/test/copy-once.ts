/**
 * One load of files in a process of its own, for tests that kill it: `tsx copy-once.ts '{"url": …}'` with MILLRACE_FAILPOINT set.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { int8, jsonb, numeric, table, text, timestamptz } from '@millrace/core';
import type { FilesRef, Receipt, Table, Window } from '@millrace/core/runtime';
import { type CopyOptions, redshift } from '../src/redshift/index.ts';
import { s3 } from '../src/s3/index.ts';
import { loadRows, type Row, testContext } from './load.ts';

export const facts = table(
  'analytics.facts',
  { id: int8(), total: numeric(12, 2), note: text().orNull(), extra: jsonb().orNull(), seen: timestamptz() },
  { key: ['id'], redshift: { distKey: 'id', sortKey: ['seen'] } },
);

export const fact = (id: number, total = '1.00', note: string | null = null, day = '01'): Row => ({
  id: BigInt(id),
  total,
  note,
  extra: '{"a": 1}',
  seen: `2026-03-${day}T00:00:00.000000Z`,
});

/** A load into files, as the step before the copy does it. */
export async function stageFiles(
  lake: string,
  rows: readonly Row[],
  {
    id,
    format = 'parquet',
    mode = 'append',
    window = null,
    declared = facts,
  }: { id: string; format?: 'parquet' | 'csv' | 'jsonl'; mode?: 'append' | 'replace'; window?: Window | null; declared?: Table },
): Promise<FilesRef> {
  const place = s3({ url: lake });
  const options = { prefix: 'facts/', mode };
  const target = format === 'parquet' ? place.parquet(options) : format === 'csv' ? place.csv(options) : place.jsonl(options);
  const { columns, key } = declared;
  const receipt = await inSpool((context) =>
    loadRows(target, { id, key: id, step: 'files', window, splits: [rows], schema: { columns, ...(key && { key }) }, context }),
  );
  return receipt.files as FilesRef;
}

export interface Copy {
  readonly url: string;
  readonly files: FilesRef;
  readonly options: CopyOptions;
  readonly id: string;
  readonly epoch?: number;
  readonly logicalTime?: string;
  readonly fullRefresh?: boolean;
  readonly key?: string;
}

export function copyFiles(
  { url, files, options, id, epoch = 1, logicalTime = '2026-03-29T02:00:00.000Z', fullRefresh = false, key = 'run-1/copied' }: Copy,
  declared: Table = facts,
): Promise<Receipt> {
  const target = redshift({ url, copyRole: 'default' }).copy(declared, options);
  return inSpool(async (context) => {
    await using sink = await target.open(context);
    const { columns } = declared;
    const load = {
      id,
      owner: { pipeline: 'nightly', step: 'copied' },
      run: 'run-1',
      runAt: logicalTime,
      schema: { columns },
      window: null,
      files: [files],
      plan: null,
      parallel: false,
    };
    await using session = await sink.begin({ ...load, ...(fullRefresh && { fullRefresh }) }, { key, epoch });
    return session.applied ?? (await session.commit([], { window: null, loadId: id, manifest: files.manifest }));
  }, logicalTime);
}

async function inSpool<T>(work: (context: ReturnType<typeof testContext>) => Promise<T>, logicalTime?: string): Promise<T> {
  const spool = mkdtempSync(join(tmpdir(), 'millrace-copy-'));
  try {
    return await work(testContext(logicalTime, { spool }));
  } finally {
    rmSync(spool, { recursive: true, force: true });
  }
}

if (process.argv[2]?.startsWith('{')) {
  console.log(JSON.stringify(await copyFiles(JSON.parse(process.argv[2]) as Copy)));
  process.exit(0);
}
