import type { Selection, TableConnection, Target } from '../connector/index.ts';
import type { Columns, RowOf, Table } from '../schema/index.ts';
import { milliseconds } from './duration.ts';
import type { Duration, OnBadRow, Output, Step, StepOptions, StepWork } from './step.ts';

export interface ExtractOptions<Row> extends StepOptions {
  /** Read only what has changed: rows whose value in this column is past the one the last load has stored. */
  readonly since?: keyof Row & string;
  /** Leave rows younger than this for the next run, so that late commits are not missed. `'0s'` by default. */
  readonly lag?: Duration;
  /** Bytes at the source that one split should hold; 256 MiB by default. */
  readonly splitBytes?: number;
}

/**
 * Reads a table, a query or files: `extract(shop, orders, { since: 'updated_at', lag: '5m' })`,
 * `extract(shop.query(…))`, `extract(lake.csv('raw/*.csv', orders))`.
 */
export function extract<C extends Columns>(
  from: TableConnection,
  table: Table<C>,
  options?: ExtractOptions<RowOf<Table<C>>>,
): Step<RowOf<Table<C>>, 'rows'>;
export function extract<Row>(from: Selection<Row>, options?: ExtractOptions<Row>): Step<Row, 'rows'>;
export function extract(
  from: TableConnection | Selection,
  second?: Table | ExtractOptions<never>,
  third?: ExtractOptions<never>,
): Step<never, 'rows'> {
  const [selection, options] =
    from.kind === 'selection' ? [from, second as ExtractOptions<never> | undefined] : [from.selection(second as Table), third];
  const { since, lag, splitBytes, ...rest } = options ?? {};
  return step('rows', {
    input: null,
    schema: selection.schema,
    work: {
      kind: 'extract',
      selection,
      since: since === undefined ? null : { column: since, lagMs: lag === undefined ? 0 : milliseconds(lag) },
      splitBytes: splitBytes ?? null,
    },
    options: rest,
  });
}

export interface LoadOptions extends StepOptions {
  /** What happens to rows that the target's columns cannot hold. `'fail'` by default. */
  readonly onBadRow?: OnBadRow;
}

/** Writes rows, or the files of an earlier load, to a target: `load(facts, lake.parquet({ prefix: 'orders/' }))`. */
export function load<Row, Takes extends 'rows' | 'files', Leaves extends 'table' | 'files'>(
  input: Step<Row, Takes>,
  target: Target<Row, Takes, Leaves>,
  options: LoadOptions = {},
): Step<Row, Leaves> {
  const { onBadRow = 'fail', ...rest } = options;
  return step(target.leaves, {
    input,
    schema: target.leaves === 'files' ? input.schema : (target.schema ?? input.schema),
    work: { kind: 'load', target: target as Target, onBadRow },
    options: rest,
  });
}

/** Makes a step. For the packages that offer steps of their own; pipelines call `extract`, `load`, `map` and the like. */
export function step<Row, Out extends Output>(
  out: Out,
  parts: { readonly input: Step | null; readonly schema: Step['schema']; readonly work: StepWork; readonly options: StepOptions },
): Step<Row, Out> {
  const made = Object.freeze({ kind: 'step', out, ...parts, options: Object.freeze({ ...parts.options }) }) as Step<Row, Out>;
  steps_.add(new WeakRef(made));
  return made;
}

/** Steps made in this process, so that the loader can report those which no pipeline lists. */
const steps_ = new Set<WeakRef<Step>>();

export function stepsMade(): Step[] {
  return [...steps_].flatMap((reference) => reference.deref() ?? []);
}
