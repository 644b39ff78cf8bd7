import { setImmediate as breathe } from 'node:timers/promises';
import type { ColumnBatch } from '../batch/index.ts';
import type { BatchesChannel, CheckResult, Context, SplitTransform, TransformRun } from '../connector/index.ts';
import type { RowSchema } from '../schema/index.ts';
import type { NamedTransform } from './chain.ts';
import { atStep } from './failure.ts';
import type { RejectSpool } from './reject-spool.ts';

/** The transforms of an attempt that run here, one after the other. */
export interface RunningTransforms {
  /** The columns that come out. */
  readonly output: RowSchema;
  /** The rows of a split on their way through. */
  through(split: string, batches: AsyncIterable<ColumnBatch>): BatchesChannel;
  /** After the last split: what checks have found. */
  finish(): Promise<CheckResult[]>;
}

/** Milliseconds after which a busy attempt lets messages through, so that a cancel is heard. */
const breathEvery = 50;

export async function startTransforms(
  named: readonly NamedTransform[],
  input: RowSchema,
  context: Context,
  spools: ReadonlyMap<string, RejectSpool>,
): Promise<RunningTransforms> {
  const runs: { readonly name: string; readonly run: TransformRun; readonly spool: RejectSpool }[] = [];
  let schema = input;
  for (const { name, transform } of named) {
    const spool = spools.get(name) as RejectSpool;
    const run = await transform.start(schema, { ...context, step: name, reject: spool.reject });
    runs.push({ name, run, spool });
    schema = transform.output(schema);
  }

  async function* through(split: string, batches: AsyncIterable<ColumnBatch>): AsyncGenerator<ColumnBatch, void, undefined> {
    const parts = runs.map(({ name, run, spool }) => ({ name, spool, apply: run.split(split) }));
    let breathed = performance.now();
    for await (const batch of batches) {
      context.progress({ rows: batch.rowCount });
      let rows = batch;
      for (const part of parts) {
        if (rows.rowCount === 0) break;
        part.spool.seen += rows.rowCount;
        rows = await applied(part.apply, rows, part.name, split);
      }
      if (rows.rowCount > 0) yield rows;
      if (performance.now() - breathed > breathEvery) {
        await breathe();
        context.signal.throwIfAborted();
        breathed = performance.now();
      }
    }
  }

  return {
    output: schema,
    through: (split, batches) => ({ format: 'batches', schema, batches: through(split, batches) }),
    finish: async () => (await Promise.all(runs.map(({ run }) => run.finish()))).flat(),
  };
}

async function applied(transform: SplitTransform, batch: ColumnBatch, step: string, split: string): Promise<ColumnBatch> {
  try {
    return await transform.apply(batch);
  } catch (error) {
    throw atStep(error, step, { split });
  }
}
