import {
  type ColumnBatch,
  type ColumnSchema,
  type Columns,
  conform,
  inColumn,
  mismatch,
  type RowOf,
  type Step,
  sameType,
  shown,
  type Table,
  type Transform,
  takeRows,
  type Vector,
  valuesVector,
} from '@millrace/core/runtime';
import { type Batch, BatchView, type ColumnSource, viewOf, wrongBatch } from './batch-view.ts';
import { eachBatch, invalid, type RowStepOptions, reject, transformStep } from './transform-step.ts';

export interface MapBatchesOptions<Row, C extends Columns> extends RowStepOptions {
  /** The table whose rows come out. */
  readonly to: Table<C>;
  /** Makes a batch of a batch, at once or later. Columns that the table does not have are left behind. */
  readonly batch: (batch: Batch<Row>) => Batch<RowOf<Table<C>>> | Promise<Batch<RowOf<Table<C>>>>;
}

/**
 * Runs a function on thousands of rows at a time, column by column: for calculations over typed arrays, and for what is
 * asked of another system, since it may be async.
 *
 *     mapBatches(orders, { to: scored, batch: async (batch) => batch.with({ score: await scores(batch.column('id').values()) }) })
 *
 * A row with a value that does not fit the table is a bad row (see `onBadRow`); where the function throws, the load fails.
 */
export function mapBatches<Row, C extends Columns>(
  rows: Step<Row, 'rows'>,
  options: MapBatchesOptions<Row, C>,
): Step<RowOf<Table<C>>, 'rows'> {
  const { to, batch, ...rest } = options;
  if (typeof batch !== 'function')
    throw invalid('mapBatches: "batch" is not a function.', 'Give it one: mapBatches(rows, { to, batch: (batch) => … }).');
  return transformStep(rows, mapBatchesTransform(to, batch as (batch: never) => unknown), rest);
}

function mapBatchesTransform(to: Table, work: (batch: never) => unknown): Transform {
  const schema = { columns: to.columns, ...(to.key && { key: to.key }) };
  const fitting = to.columns.map(({ type }) => conform(type));
  return Object.freeze({
    name: 'map batches',
    description: { to: to.name, batch: String(work) },
    lane: 'columns',
    output: () => schema,
    start: eachBatch((_, context) => async (batch, place) => {
      const made = await work(viewOf(batch) as never);
      if (!(made instanceof BatchView))
        throw wrongBatch(
          `The function of mapBatches returned ${shown(made)}, which is no batch`,
          'Return batch, batch.with(…) or batch.take(…).',
        );
      const bad = new Map<number, unknown>();
      const vectors = to.columns.map((column, at) => columnVector(column, fitting[at]!, made, bad));
      const out: ColumnBatch = { schema, rowCount: made.rowCount, vectors, ...(made.rows && { origins: made.rows }) };
      if (bad.size === 0) return out;
      for (const row of [...bad.keys()].sort((a, b) => a - b)) reject(context, batch, made.rows?.[row] ?? row, place, bad.get(row));
      return takeRows(
        out,
        Int32Array.from({ length: made.rowCount }, (_, row) => row).filter((row) => !bad.has(row)),
      );
    }),
  } satisfies Transform);
}

function columnVector(column: ColumnSchema, fitting: (value: unknown) => unknown, made: BatchView, bad: Map<number, unknown>): Vector {
  const source: ColumnSource | undefined = made.columns.get(column.name);
  if (!source) throw wrongBatch(`The batch that mapBatches returned lacks "${column.name}"`, `Add it: batch.with({ ${column.name}: … }).`);
  const isSame = 'vector' in source && sameType(source.vector.type, column.type);
  if (isSame && (column.nullable || !hasNull(source.vector))) return source.vector;
  const values = Array.from({ length: made.rowCount }, (_, row) => {
    try {
      const value = 'vector' in source ? source.vector.get(row) : source.values[row];
      if (value === null && column.nullable) return null;
      if (value === null)
        throw mismatch(column.type, value, 'the column is not nullable', `Give a value, or declare "${column.name}" with .orNull().`);
      return fitting(value);
    } catch (error) {
      if (!bad.has(row)) bad.set(row, inColumn(column.name, error));
      return null;
    }
  });
  return valuesVector(column.type, values);
}

function hasNull(vector: Vector): boolean {
  for (let row = 0; row < vector.length; row++) if (vector.isNull(row)) return true;
  return false;
}
