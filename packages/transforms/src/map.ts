import { notARow, type RowOf, RowReader, RowWriter, type Step, type StepOptions, type Table, type Transform } from '@millrace/core/runtime';
import { changesStep, eachBatch, invalid, isChanges, type RowStepOptions, reject, transformStep } from './transform-step.ts';

export interface MapOptions<Row, To extends Table, Out> extends RowStepOptions {
  /** The table whose rows come out. */
  readonly to: To;
  /** Makes a row of a row; null leaves the row out, an array gives several. It is not awaited: see `mapBatches` for that. */
  readonly row: (row: Row) => OnlyColumns<Out, To['declared']>;
}

/** TypeScript lets a function return more than it is asked for; here a column that the table lacks is an error. */
type OnlyColumns<Out, C> = keyof (Out & {}) extends keyof C | ArrayKey ? Out : ColumnsOfTheTableOnly<Exclude<keyof (Out & {}), keyof C>>;
type ArrayKey = keyof unknown[] | `${number}`;

/** What the compiler shows where a row has a column that the table lacks. */
interface ColumnsOfTheTableOnly<Name> {
  readonly 'the table has no such column': Name;
}

/**
 * Runs a function on every row: `map(orders, { to: orderFact, row: (order) => ({ … }) })`. Columns that the function hands on
 * as they are cost next to nothing, so `{ ...order, total }` is as good as naming a few.
 *
 * A row for which the function throws, or whose result does not fit the table, is a bad row: see `onBadRow`.
 */
export function map<Row, To extends Table, Out extends RowOf<To> | readonly RowOf<To>[] | null>(
  rows: Step<Row, 'rows'>,
  options: MapOptions<Row, To, Out>,
): Step<RowOf<To>, 'rows'>;
/**
 * On rows of a stream, table by table: `map(changes, { orders: { to: orderFact, row: (order) => ({ … }) } })`. The function gives one row or
 * null, and hands the key on as it is; deletes do not come to it. A value that an update left as it was and that the source did not
 * send (a large text, say) cannot be read, but `{ ...order, total }` hands it on.
 */
export function map<Tables, const Maps extends MapsByTable<Tables>>(
  changes: Step<Tables, 'changes'>,
  maps: Maps & RowsOfTheirTables<Maps, Tables>,
  options?: StepOptions,
): Step<
  {
    readonly [Name in keyof Tables]: Name extends keyof Maps
      ? Maps[Name] extends { readonly to: infer To }
        ? RowOf<To>
        : Tables[Name]
      : Tables[Name];
  },
  'changes'
>;
export function map(
  input: Step<unknown, 'rows'> | Step<unknown, 'changes'>,
  wanted: object,
  options: StepOptions = {},
): Step<never, never> {
  if (isChanges(input))
    return changesStep('map', input, wanted as Readonly<Record<string, RowMap>>, (_, each) => makeTransform(each), options);
  const { to, row, ...rest } = wanted as RowMap & RowStepOptions;
  return transformStep(input, makeTransform({ to, row }), rest);
}

/** What `map` does with each table of a stream. */
export type MapsByTable<Tables> = {
  readonly [Name in keyof Tables]?: { readonly to: Table; readonly row: (row: Tables[Name]) => object | null };
};

/** Each function gives rows of its table, with no column too many or too few. */
type RowsOfTheirTables<Maps, Tables> = {
  readonly [Name in keyof Maps]: Name extends keyof Tables
    ? Maps[Name] extends { readonly to: infer To extends Table; readonly row: (row: never) => infer Out }
      ? { readonly row: (row: Tables[Name]) => [Out] extends [RowOf<To> | null] ? OnlyColumns<Out, To['declared']> : RowOf<To> | null }
      : unknown
    : never;
};

interface RowMap {
  readonly to: Table;
  readonly row: (row: never) => unknown;
}

function makeTransform({ to, row }: RowMap): Transform {
  if (typeof row !== 'function') throw invalid('map: "row" is not a function.', 'Give it a function: map(rows, { to, row: (row) => … }).');
  return mapTransform(to, row);
}

function mapTransform(to: Table, row: (row: never) => unknown): Transform {
  return Object.freeze({
    name: 'map',
    description: { to: to.name, row: String(row) },
    lane: 'rows',
    output: () => ({ columns: to.columns, ...(to.key && { key: to.key }) }),
    start: eachBatch((input, context) => {
      const reader = new RowReader(input);
      const writer = new RowWriter(to, input);
      return (batch, place) => {
        const rows = reader.open(batch);
        writer.begin(rows);
        for (let index = 0; index < batch.rowCount; index++) {
          try {
            const result = row(rows.row(index) as never);
            if (result === null) continue;
            if (typeof result !== 'object') throw notARow(result);
            writer.add(result, index);
          } catch (error) {
            reject(context, batch, index, place, error);
          }
        }
        return writer.finish();
      };
    }),
  } satisfies Transform);
}
