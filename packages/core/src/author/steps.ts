import type {
  CaptureConnection,
  CaptureEngine,
  ChangeTarget,
  SchemaPolicy,
  Selection,
  TableConnection,
  Target,
} from '../connector/index.ts';
import { MillraceError } from '../error/index.ts';
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

export interface CaptureOptions<Tables extends CapturedTables> extends StepOptions {
  /** By the names that the steps after it use. */
  readonly tables: Tables;
  /** `initial` (default) copies the tables first; `never` follows changes from now on only. */
  readonly snapshot?: 'initial' | 'never';
  /** What happens when columns change at the source, for each kind of change: see `SchemaPolicy` for the defaults. */
  readonly schemaChanges?: Partial<SchemaPolicy>;
  /** Who captures, where it is not the connection itself: `dms({ … })` for AWS DMS. Options of the connection's own capture go with neither. */
  readonly engine?: CaptureEngine;
}

export type CapturedTables = Readonly<Record<string, Table>>;
/** Rows by table: what a capture hands on. */
export type RowsOf<Tables extends CapturedTables> = { readonly [Name in keyof Tables]: RowOf<Tables[Name]> };

/**
 * Copies tables and then follows every change, in the order of the source's transactions:
 * `capture(shop, { tables: { customers, orders } })`. For pipelines that run `continuous`ly.
 */
export function capture<const Tables extends CapturedTables, Options>(
  from: CaptureConnection<Options>,
  options: CaptureOptions<Tables> & NoInfer<Options>,
): Step<RowsOf<Tables>, 'changes'> {
  const { tables, snapshot = 'initial', schemaChanges, engine, after, retry, timeout, onFailure, pool, ...own } = options;
  const [alien] = engine ? Object.keys(own) : [];
  if (alien !== undefined)
    throw new MillraceError('PIPELINE_INVALID', {
      message: `capture(): "${alien}" is an option of the connection's own capture, and an engine captures here.`,
      remedy: 'Leave it out, or leave out the engine.',
    });
  const native = from.capture(tables, own as unknown as Options);
  const source = engine ? engine.capture(native) : native;
  return step('changes', {
    input: null,
    schema: null,
    tables: Object.fromEntries(
      Object.entries(source.tables).map(([table, { name, schema }]) => [
        table,
        { columns: schema.columns, ...(schema.key && { key: schema.key }), name },
      ]),
    ),
    work: {
      kind: 'capture',
      source,
      snapshot,
      policy: Object.freeze({ add: 'apply', drop: 'pause', rename: 'apply', retype: 'widen', ...schemaChanges }),
    },
    options: {
      ...(after && { after }),
      ...(retry && { retry }),
      ...(timeout && { timeout }),
      ...(onFailure && { onFailure }),
      ...(pool && { pool }),
    },
  });
}

export interface LoadOptions extends StepOptions {
  /** What happens to rows that the target's columns cannot hold. `'fail'` by default. */
  readonly onBadRow?: OnBadRow;
}

/**
 * Writes rows, or the files of an earlier load, to a target: `load(facts, lake.parquet({ prefix: 'orders/' }))`; or applies the changes of
 * a capture: `load(changes, mirror.apply({ schema: 'shop' }))`.
 */
export function load<Row, Takes extends 'rows' | 'files', Leaves extends 'table' | 'files'>(
  input: Step<Row, Takes>,
  target: Target<Row, Takes, Leaves>,
  options?: LoadOptions,
): Step<Row, Leaves>;
export function load<Tables>(input: Step<Tables, 'changes'>, target: ChangeTarget<Tables>, options?: StepOptions): Step<Tables, 'nothing'>;
export function load(input: Step, target: Target | ChangeTarget, options: LoadOptions = {}): Step<never, never> {
  const { onBadRow = 'fail', ...rest } = options;
  if (target.kind === 'change-target')
    return step<never, never>('nothing' as never, {
      input,
      schema: null,
      tables: input.tables,
      work: { kind: 'load-changes', target },
      options: rest,
    });
  return step<never, never>(target.leaves as never, {
    input,
    schema: target.leaves === 'files' ? input.schema : (target.schema ?? input.schema),
    work: { kind: 'load', target, onBadRow },
    options: rest,
  });
}

/** Makes a step. For the packages that offer steps of their own; pipelines call `extract`, `load`, `map` and the like. */
export function step<Row, Out extends Output>(
  out: Out,
  parts: {
    readonly input: Step | null;
    readonly schema: Step['schema'];
    readonly tables?: Step['tables'];
    readonly work: StepWork;
    readonly options: StepOptions;
  },
): Step<Row, Out> {
  const made = Object.freeze({ kind: 'step', out, tables: null, ...parts, options: Object.freeze({ ...parts.options }) }) as Step<Row, Out>;
  steps_.add(new WeakRef(made));
  return made;
}

/** Steps made in this process, so that the loader can report those which no pipeline lists. */
const steps_ = new Set<WeakRef<Step>>();

export function stepsMade(): Step[] {
  return [...steps_].flatMap((reference) => reference.deref() ?? []);
}
