import {
  batchesOf,
  type ColumnBatch,
  type Context,
  type ReadPlan,
  type RelationalOp,
  type RowSchema,
  type RowSource,
  type Selection,
  type Transform,
  type TransformRun,
} from '@millrace/core/runtime';

/** Rows that verify reads: a selection, what its query does, and the transforms behind it. */
export interface Reading {
  readonly selection: Selection;
  readonly absorbed: readonly RelationalOp[];
  readonly transforms: readonly { readonly name: string; readonly transform: Transform }[];
}

/** Which rows of an incremental extract: those the checkpoint covers, or those that came after it. */
export type Part = { readonly column: string; readonly below: string } | { readonly column: string; readonly from: string } | null;

const splitBytes = 256 * 1024 * 1024;

/** The batches of a reading, one split after the other, as they would come to the sink. */
export async function* rowsOf(reading: Reading, part: Part, context: Context): AsyncGenerator<ColumnBatch> {
  await using source = await reading.selection.open(context);
  const plan = await planPart(source, reading.absorbed, part);
  const format = source.offers(plan).includes('batches') ? 'batches' : 'csv';
  const runs = await startAll(reading, plan.schema, context);
  for (const split of plan.splits) {
    const channel = await source.open(split, format);
    const steps = runs.map((run) => run.split(split.id));
    for await (const batch of batchesOf(channel)) {
      context.signal.throwIfAborted();
      let out = batch;
      for (const step of steps) out = await step.apply(out);
      if (out.rowCount > 0) yield out;
    }
  }
  for (const run of runs) await run.finish();
}

/** A window that was planned before keeps its bounds: that is how a bound in the past is asked for. */
function planPart(source: RowSource, absorbed: readonly RelationalOp[], part: Part): Promise<ReadPlan> {
  const request = { absorbed, splitBytes, earlier: null };
  if (part === null) return source.plan({ ...request, since: null });
  if ('from' in part) return source.plan({ ...request, since: { column: part.column, low: part.from, lagMs: 0 } });
  const window = { column: part.column, low: null, high: part.below };
  return source.plan({
    ...request,
    since: { column: part.column, low: null, lagMs: 0 },
    earlier: { schema: { columns: [] }, absorbed, window, splits: [], estimate: { rows: null, bytes: null }, continuesEarlier: false },
  });
}

async function startAll(reading: Reading, schema: RowSchema, context: Context): Promise<TransformRun[]> {
  const runs: TransformRun[] = [];
  let input = schema;
  for (const { name, transform } of reading.transforms) {
    // Rows that a step sets aside are not expected at the target either.
    runs.push(await transform.start(input, { ...context, step: name, reject: () => {} }));
    input = transform.output(input);
  }
  return runs;
}
