import {
  baseType,
  type ColumnBatch,
  inColumn,
  MillraceError,
  type RowNumbers,
  type TypedValues,
  takeFrom,
  typedValues,
  type Vector,
} from '@millrace/core/runtime';

/** A column of a batch, by row number from 0. */
export interface BatchColumn<Value> {
  readonly length: number;
  get(row: number): Value;
  isNull(row: number): boolean;
  /** All values, decoded now. */
  values(): Value[];
  /** int2, int4, float4, float8 and int8 as a typed array with Arrow's validity bitmap. @throws UNSUPPORTED for other types */
  typed(): TypedValues;
}

/** What `with` takes for a column: an array, a typed array, or another column. */
export type NewColumn = readonly unknown[] | Int32Array | Float64Array | BigInt64Array | BatchColumn<unknown>;

/** The rows of a batch, column by column, as a function of the pipeline sees them. It never changes: `with` and `take` give another. */
export interface Batch<out Row> {
  readonly rowCount: number;
  column<Name extends keyof Row & string>(name: Name): BatchColumn<Row[Name]>;
  /** The batch with these columns added or replaced; each has a value for every row. */
  with<const New extends Readonly<Record<string, NewColumn>>>(
    columns: New,
  ): Batch<Omit<Row, keyof New> & { readonly [Name in keyof New]: ValueOfColumn<New[Name]> }>;
  /** The rows with these numbers, in this order; a number may come twice. Moves no bytes. */
  take(rows: readonly number[] | Int32Array): Batch<Row>;
}

type ValueOfColumn<C> =
  C extends BatchColumn<infer Value>
    ? Value
    : C extends BigInt64Array
      ? bigint
      : C extends Int32Array | Float64Array
        ? number
        : C extends readonly (infer Value)[]
          ? Value
          : never;

/** A column on its way back: still a vector, or values that nobody has looked at yet. */
export type ColumnSource = { readonly vector: Vector } | { readonly values: ArrayLike<unknown> };

/** What stands behind a `Batch`: columns by name, and which row of the step's input each row came from. */
export class BatchView implements Batch<Record<string, unknown>> {
  readonly rowCount: number;
  readonly columns: ReadonlyMap<string, ColumnSource>;
  /** Null where rows are those of the input, one for one. */
  readonly rows: RowNumbers | null;

  constructor(rowCount: number, columns: ReadonlyMap<string, ColumnSource>, rows: RowNumbers | null) {
    this.rowCount = rowCount;
    this.columns = columns;
    this.rows = rows;
  }

  column(name: string): BatchColumn<unknown> {
    const source = this.columns.get(name);
    if (source) return new SourceColumn(name, source, this.rowCount);
    throw wrongBatch(`There is no column "${name}"`, `The columns are ${[...this.columns.keys()].join(', ')}.`);
  }

  with(added: Readonly<Record<string, unknown>>): never {
    const columns = new Map(this.columns);
    for (const [name, given] of Object.entries(added)) columns.set(name, this.#sourceOf(name, given));
    return new BatchView(this.rowCount, columns, this.rows) as never;
  }

  take(numbers: readonly number[] | Int32Array): never {
    for (const row of numbers) {
      if (!Number.isInteger(row) || row < 0 || row >= this.rowCount)
        throw wrongBatch(`There is no row ${row}`, `Rows are numbered from 0 to ${this.rowCount - 1}.`);
    }
    const rows = Int32Array.from(numbers);
    const taker = takeFrom(rows);
    const columns = new Map([...this.columns].map(([name, source]) => [name, takenFrom(source, rows, taker)] as const));
    const before = this.rows;
    return new BatchView(rows.length, columns, before ? rows.map((row) => before[row]!) : rows) as never;
  }

  #sourceOf(name: string, given: unknown): ColumnSource {
    const source = given instanceof SourceColumn ? given.source : isList(given) ? { values: given } : null;
    if (!source) throw wrongBatch(`"${name}" is no column`, 'Give an array, a typed array, or a column of a batch.');
    const length = 'vector' in source ? source.vector.length : source.values.length;
    if (length === this.rowCount) return source;
    throw wrongBatch(
      `"${name}" has ${length} values and the batch has ${this.rowCount} rows`,
      'Give a value for every row, null where NULL is meant.',
    );
  }
}

class SourceColumn implements BatchColumn<unknown> {
  readonly name: string;
  readonly source: ColumnSource;
  readonly length: number;

  constructor(name: string, source: ColumnSource, length: number) {
    this.name = name;
    this.source = source;
    this.length = length;
  }

  get(row: number): unknown {
    if ('values' in this.source) return this.source.values[row];
    try {
      return this.source.vector.get(row);
    } catch (error) {
      throw inColumn(this.name, error);
    }
  }

  isNull(row: number): boolean {
    return 'vector' in this.source ? this.source.vector.isNull(row) : this.source.values[row] === null;
  }

  values(): unknown[] {
    return Array.from({ length: this.length }, (_, row) => this.get(row));
  }

  typed(): TypedValues {
    const typed = 'vector' in this.source ? typedValues(this.source.vector) : null;
    if (typed) return typed;
    const kind = 'vector' in this.source ? baseType(this.source.vector.type).kind : 'without a type yet';
    throw new MillraceError('UNSUPPORTED', {
      message: `A column that is ${kind} has no typed array.`,
      remedy: 'Use values() or get(row).',
    });
  }
}

const isList = (value: unknown): value is ArrayLike<unknown> =>
  Array.isArray(value) || value instanceof Int32Array || value instanceof Float64Array || value instanceof BigInt64Array;

function takenFrom(source: ColumnSource, rows: RowNumbers, taker: (vector: Vector) => Vector): ColumnSource {
  if ('vector' in source) return { vector: taker(source.vector) };
  return { values: Array.from(rows, (row) => source.values[row]) };
}

export function viewOf(batch: ColumnBatch): BatchView {
  return new BatchView(
    batch.rowCount,
    new Map(batch.schema.columns.map(({ name }, place) => [name, { vector: batch.vectors[place]! }])),
    null,
  );
}

export const wrongBatch = (what: string, remedy: string): MillraceError =>
  new MillraceError('FUNCTION_FAILED', { message: `${what}.`, remedy });
