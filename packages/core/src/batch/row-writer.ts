import { MillraceError } from '../error/index.ts';
import { baseType, type ColumnSchema, type RowSchema, sameType } from '../schema/index.ts';
import type { ColumnBatch, Vector } from './column-batch.ts';
import { inColumn, mismatch, shown } from './mismatch.ts';
import type { BatchRows } from './row-reader.ts';
import { takeFrom } from './take.ts';
import { conform } from './text-value.ts';
import { isUnchanged, unchangedVector, valuesVector } from './vectors.ts';

/** After this many batches in which a column turned out not to be its source column after all, it is no longer tried. */
const mostMisses = 3;
/** Rows of a batch within which another source column is looked for when one turns out wrong. */
const learningRows = 256;

/**
 * Rows that a function has returned, as batches. A column whose values are all the very values of a source column of the same
 * type is not encoded again: its vector is the source's. So `{ ...row, total }` costs one column, and not all of them.
 *
 * Make one for each split; `begin` a batch, `add` what came of each of its rows, `finish` it.
 */
export class RowWriter {
  readonly #schema: RowSchema;
  readonly #columns: readonly WrittenColumn[];
  readonly #read: (row: object, into: unknown[]) => void;
  readonly #scratch: unknown[];
  /** True where rows of the input are rows of the output by name. */
  readonly #sameNames: boolean;
  #source!: BatchRows;
  #rows = new Int32Array(1024);
  #count = 0;

  constructor(schema: RowSchema, input: RowSchema) {
    this.#schema = { columns: schema.columns, ...(schema.key && { key: schema.key }) };
    this.#columns = schema.columns.map((column) => new WrittenColumn(column, input));
    this.#read = rowFields(schema.columns.map(({ name }) => name));
    this.#scratch = new Array(schema.columns.length).fill(null);
    this.#sameNames = input.columns.length === schema.columns.length && this.#columns.every((column) => column.sameName >= 0);
  }

  begin(source: BatchRows): void {
    this.#source = source;
    this.#count = 0;
    for (const column of this.#columns) column.begin();
  }

  /**
   * What the function has made of row `index`: one row, or several.
   *
   * @throws TYPE_MISMATCH for a missing, unknown or unfitting property; nothing of this row is added then
   */
  add(result: object, index: number): void {
    if (!Array.isArray(result)) {
      if (result instanceof Promise) throw notARow(result);
      return this.#addOne(result, index);
    }
    const before = this.#count;
    try {
      for (const row of result) {
        if (typeof row !== 'object' || row === null) throw notARow(row);
        this.#addOne(row, index);
      }
    } catch (error) {
      this.#count = before;
      throw error;
    }
  }

  finish(): ColumnBatch {
    const { batch } = this.#source;
    const rows = this.#rows.slice(0, this.#count);
    const isAll = rows.length === batch.rowCount && rows.every((row, index) => row === index);
    const taken = isAll ? (vector: Vector) => vector : takeFrom(rows);
    return {
      schema: this.#schema,
      rowCount: rows.length,
      ...(!isAll && { origins: rows }),
      vectors: this.#columns.map((column) => (column.kept >= 0 ? taken(batch.vectors[column.kept]!) : column.vector(rows.length))),
    };
  }

  #addOne(row: object, index: number): void {
    const count = this.#count;
    if (count === this.#rows.length) this.#moreRows();
    this.#rows[count] = index;
    if (this.#sameNames && this.#source.isUntouched(row)) {
      for (const column of this.#columns)
        if (column.kept !== column.sameName || column.refusesNull) column.addUntouched(this.#source, this.#rows, count);
    } else {
      const values = this.#scratch;
      this.#read(row, values);
      let properties = 0;
      for (const _ in row) properties++;
      if (properties !== values.length) this.#refuseUnknown(row);
      for (let at = 0; at < values.length; at++) {
        const column = this.#columns[at]!;
        const value = values[at];
        if (value === undefined && column.isUnchangedIn(this.#source, index)) {
          column.addUnchanged(this.#source, this.#rows, count);
          continue;
        }
        if (column.kept >= 0 && value !== undefined && column.isOriginal(value, this.#source.original(column.kept, index))) continue;
        column.add(value, this.#source, this.#rows, count);
      }
    }
    this.#count = count + 1;
  }

  #refuseUnknown(row: object): void {
    const known = new Set(this.#schema.columns.map(({ name }) => name));
    const unknown = Object.keys(row).filter((name) => !known.has(name));
    if (unknown.length === 0) return;
    throw new MillraceError('TYPE_MISMATCH', {
      message: `The row has ${unknown.map((name) => `"${name}"`).join(', ')}, which the target has no column for.`,
      remedy: `Leave it out, or declare it in the table: its columns are ${[...known].join(', ')}.`,
    });
  }

  #moreRows(): void {
    const more = new Int32Array(this.#rows.length * 2);
    more.set(this.#rows);
    this.#rows = more;
  }
}

class WrittenColumn {
  readonly name: string;
  readonly type: ColumnSchema['type'];
  /** The source column whose vector this batch has so far been, or -1: then `#values` holds the values. */
  kept = -1;
  /** The source column of the same name and type, or -1. */
  readonly sameName: number;
  /** True where NULL may come from the source and must not reach the target. */
  readonly refusesNull: boolean;
  readonly #nullable: boolean;
  readonly #conform: (value: unknown) => unknown;
  /** Source columns of the same type, the one of the same name first. */
  readonly #candidates: readonly number[];
  readonly #isFloat: boolean;
  #values: unknown[] = [];
  /** Rows whose value nobody knows: see `unchangedVector`. */
  #unchanged: number[] = [];
  #source = -1;
  #misses = 0;

  constructor({ name, type, nullable }: ColumnSchema, input: RowSchema) {
    this.name = name;
    this.type = type;
    this.#nullable = nullable;
    this.#conform = conform(type);
    const { kind } = baseType(type);
    this.#isFloat = kind === 'float4' || kind === 'float8';
    // Arrays and bytes can be changed in place, so being the same object says nothing about them.
    const mutable = kind === 'array' || kind === 'bytea';
    const alike = input.columns.flatMap((column, place) => (!mutable && sameType(column.type, type) ? [place] : []));
    this.sameName = input.columns.findIndex((column, place) => column.name === name && alike.includes(place));
    this.refusesNull = !nullable && alike.some((place) => input.columns[place]!.nullable);
    this.#candidates = this.sameName < 0 ? alike : [this.sameName, ...alike.filter((place) => place !== this.sameName)];
    if (alike.length === 0) this.#misses = mostMisses;
  }

  begin(): void {
    this.kept = this.#misses < mostMisses ? this.#source : -1;
    this.#values = [];
    this.#unchanged = [];
  }

  /** The column of the same name has no value in this row of the source. */
  isUnchangedIn(source: BatchRows, index: number): boolean {
    return this.sameName >= 0 && isUnchanged(source.batch.vectors[this.sameName]!, index);
  }

  addUnchanged(source: BatchRows, rows: Int32Array, count: number): void {
    if (count === 0) {
      this.kept = this.sameName;
      this.#source = this.sameName;
    }
    if (this.kept === this.sameName) return;
    if (this.kept >= 0) this.#leave(source, rows, count);
    this.#values[count] = null;
    this.#unchanged.push(count);
  }

  isOriginal(value: unknown, original: unknown): boolean {
    if (value === null && this.refusesNull) return false;
    return value === original ? !this.#isFloat || value !== 0 || Object.is(value, original) : this.#isFloat && Object.is(value, original);
  }

  /** `value` is not the original of `kept`, or there is none. */
  add(value: unknown, source: BatchRows, rows: Int32Array, count: number): void {
    if (value === null && !this.#nullable) this.#fitting(value);
    if (count === 0 && this.#misses < mostMisses && value !== undefined) {
      this.kept = this.#candidates.find((place) => this.isOriginal(value, source.original(place, rows[count]!))) ?? -1;
      if (this.kept >= 0) {
        this.#source = this.kept;
        return;
      }
    }
    if (this.kept >= 0) {
      this.#leave(source, rows, count);
      if (count < learningRows && this.#findOther(value, source, rows, count)) return;
      this.#misses++;
    }
    // What came from a column of the same type fits already.
    const isSame = this.sameName >= 0 && this.isOriginal(value, source.original(this.sameName, rows[count]!));
    this.#values[count] = isSame ? value : this.#fitting(value);
  }

  /** The row is the source's own, unread. */
  addUntouched(source: BatchRows, rows: Int32Array, count: number): void {
    if (this.refusesNull && source.batch.vectors[this.sameName]!.isNull(rows[count]!)) this.#fitting(null);
    if (this.kept === this.sameName) return;
    if (count === 0) {
      this.kept = this.sameName;
      this.#source = this.sameName;
      return;
    }
    if (this.isUnchangedIn(source, rows[count]!)) return this.addUnchanged(source, rows, count);
    if (this.kept >= 0) this.#leave(source, rows, count);
    this.#values[count] = this.#fitting(source.batch.vectors[this.sameName]!.get(rows[count]!));
  }

  vector(count: number): Vector {
    this.#values.length = count;
    const values = valuesVector(this.type, this.#values);
    if (this.#unchanged.length === 0) return values;
    const flags = new Uint8Array(Math.ceil(count / 8));
    for (const row of this.#unchanged) if (row < count) flags[row >> 3]! |= 1 << (row & 7);
    return unchangedVector(values, flags);
  }

  /** From the source's vector to values: those of the rows so far are decoded now. */
  #leave(source: BatchRows, rows: Int32Array, count: number): void {
    const vector = source.batch.vectors[this.kept]!;
    this.#values = Array.from({ length: count }, (_, row) => {
      if (!isUnchanged(vector, rows[row]!)) return vector.get(rows[row]!);
      this.#unchanged.push(row);
      return null;
    });
    this.kept = -1;
  }

  #findOther(value: unknown, source: BatchRows, rows: Int32Array, count: number): boolean {
    if (this.#unchanged.length > 0) return false;
    const other = this.#candidates.find((place) => {
      if (!this.isOriginal(value, source.original(place, rows[count]!))) return false;
      const vector = source.batch.vectors[place]!;
      return this.#values.every((earlier, row) => this.isOriginal(earlier, vector.get(rows[row]!)));
    });
    if (other === undefined) return false;
    this.kept = other;
    this.#source = other;
    return true;
  }

  #fitting(value: unknown): unknown {
    if (value === null && this.#nullable) return null;
    try {
      if (value === undefined) throw missing(this.name);
      if (value === null)
        throw mismatch(this.type, value, 'the column is not nullable', `Return a value, or declare "${this.name}" with .orNull().`);
      return this.#conform(value);
    } catch (error) {
      throw inColumn(this.name, error);
    }
  }
}

const missing = (column: string): MillraceError =>
  new MillraceError('TYPE_MISMATCH', {
    message: 'the row has no such property.',
    remedy: `Return "${column}" in every row, null where NULL is meant.`,
  });

/** The error of a function that returned something else than a row. */
export function notARow(value: unknown): MillraceError {
  const promise = value instanceof Promise;
  // Nobody will await it, and what it rejects with is not what went wrong here.
  if (promise) value.catch(() => {});
  return new MillraceError('FUNCTION_FAILED', {
    message: promise
      ? 'The function returned a Promise, and a row function is not awaited.'
      : `The function returned ${shown(value)}, which is no row.`,
    remedy: promise ? 'Use mapBatches, whose function may be async.' : 'Return a row, an array of rows, or null to leave the row out.',
  });
}

/** `(row, into) => { into[0] = row["id"]; … }`: each place in the code sees one property, so each read is cached. */
function rowFields(names: readonly string[]): (row: object, into: unknown[]) => void {
  const body = names.map((name, place) => `into[${place}] = row[${JSON.stringify(name)}];`).join('\n');
  return new Function('row', 'into', body) as (row: object, into: unknown[]) => void;
}
