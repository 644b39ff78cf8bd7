import type { ColumnBatch } from '../batch/index.ts';
import type { RowSchema } from '../schema/index.ts';
import type { Context } from './context.ts';
import type { RelationalOp } from './relational.ts';

/** What a transform step does, as a frozen value of the pipeline file. `@millrace/transforms` makes them; `run-rows` runs them. */
export interface Transform {
  readonly name: string;
  /** For plans and the fingerprint: options, and the text of a function. */
  readonly description: Readonly<Record<string, unknown>>;
  /** `rows` where a function of the pipeline sees single rows, `columns` where it sees batches. */
  readonly lane: 'columns' | 'rows';
  /** Where SQL can say it: a source may then do it instead. */
  readonly relational?: RelationalOp;
  /** True where rows of one split depend on rows of another: such a transform must be absorbed by the source. */
  readonly wholeInput?: boolean;
  /** True where `finish` judges what all splits together have shown: then one process sees them all. */
  readonly concludes?: boolean;
  /** The columns that come out. @throws PIPELINE_INVALID where it cannot work on such rows */
  output(input: RowSchema): RowSchema;
  /** Once for each attempt at a stage. */
  start(input: RowSchema, context: TransformContext): Promise<TransformRun>;
}

export interface TransformContext extends Context {
  readonly step: string;
  /** Sets a row aside. Throws what `row.error` holds where the step has `onBadRow: 'fail'`. */
  reject(row: RejectedRow): void;
}

/** A row that did not make it. `row` is its JSON text, cut at 64 KiB. */
export interface RejectedRow {
  readonly split: string;
  /** Place of the row within its split, from 0. */
  readonly ordinal: number;
  readonly row: string;
  readonly error: Error;
}

export interface TransformRun {
  /** Splits run side by side; each has its own. Order within a split is kept. */
  split(id: string): SplitTransform;
  /** After the last split and before the commit: what checks have found. */
  finish(): Promise<readonly CheckResult[]>;
}

export interface SplitTransform {
  apply(batch: ColumnBatch): ColumnBatch | Promise<ColumnBatch>;
}

export interface CheckResult {
  /** `not null: email` */
  readonly check: string;
  readonly severity: 'warn' | 'fail';
  readonly passed: boolean;
  /** What was found: `3 of 500,000 rows`. */
  readonly found: string;
  readonly sample: readonly string[];
}
