import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  batchOfRows,
  type CheckResult,
  type ColumnBatch,
  CsvDecoder,
  csvEncoder,
  type RejectedRow,
  type RowSchema,
  rowsOf,
  type Step,
  step,
  type TransformContext,
} from '../packages/core/src/runtime.ts';

export interface TransformOutcome {
  readonly rows: Record<string, unknown>[];
  readonly batches: ColumnBatch[];
  readonly rejected: RejectedRow[];
  readonly checks: readonly CheckResult[];
}

/** Rows that come from nowhere, for tests of one transform. */
export function given<Row>(schema: RowSchema): Step<Row, 'rows'> {
  return step('rows', {
    input: null,
    schema,
    work: { kind: 'extract', selection: null as never, since: null, splitBytes: null },
    options: {},
  });
}

/** Batches as a source has them: bytes of text behind every value. */
export function encodedBatches(schema: RowSchema, rows: readonly Readonly<Record<string, unknown>>[], size = 100): ColumnBatch[] {
  const decoder = new CsvDecoder(schema, { rows: size, bytes: 1 << 20 });
  const bytes = Buffer.concat([...csvEncoder(schema)(batchOfRows(schema, rows))]);
  return [...decoder.push(bytes), ...decoder.end()];
}

/** Runs the transform of a step over splits of rows, with bad rows set aside, or thrown where the step says so. */
export async function runTransform(
  of: Step,
  splits: Readonly<Record<string, readonly ColumnBatch[]>>,
  now = '2024-03-01T00:00:00Z',
): Promise<TransformOutcome> {
  if (of.work.kind !== 'transform') throw new Error('This step is no transform.');
  const { transform, onBadRow } = of.work;
  const input = of.input?.schema as RowSchema;
  const rejected: RejectedRow[] = [];
  const spool = mkdtempSync(join(tmpdir(), 'transform-'));
  const context: TransformContext = {
    run: { id: 'r1', pipeline: 'p', logicalTime: now, date: now.slice(0, 10), window: null, params: {} },
    signal: new AbortController().signal,
    secret: async ({ name }) => `value of ${name}`,
    now: () => new Date(now),
    log: { info() {}, warn() {} },
    spool,
    progress() {},
    memoryBudget: 1 << 28,
    step: 'tested',
    reject(row) {
      if (onBadRow === 'fail') throw row.error;
      rejected.push(row);
    },
  };
  try {
    const run = await transform.start(input, context);
    const batches: ColumnBatch[] = [];
    for (const [split, parts] of Object.entries(splits)) {
      const work = run.split(split);
      for (const batch of parts) batches.push(await work.apply(batch));
    }
    return { rows: batches.flatMap(rowsOf), batches, rejected, checks: await run.finish() };
  } finally {
    rmSync(spool, { recursive: true, force: true });
  }
}
