import type { ColumnType } from '../schema/index.ts';
import type { ColumnBatch, EncodedValues, Vector } from './column-batch.ts';
import { hasUnchanged, isUnchanged, knownValues, unchangedVector } from './vectors.ts';

/** Row numbers of a batch, in the order wanted; a number may come twice. */
export type RowNumbers = Int32Array;

/** The rows of a batch that `rows` names. Bytes stay where they are: only the places of values are copied. */
export function takeRows(batch: ColumnBatch, rows: RowNumbers): ColumnBatch {
  const taker = takeFrom(rows);
  return { schema: batch.schema, rowCount: rows.length, vectors: batch.vectors.map(taker), origins: rows };
}

/** Takes the same rows from several vectors; those that share their places go on sharing them. */
export function takeFrom(rows: RowNumbers): (vector: Vector) => Vector {
  const shared = new Map<Int32Array, { starts: Int32Array; lengths: Int32Array }>();
  const known = (vector: Vector): Vector => new TakenVector(vector, rows, vector.encoded && taken(vector.encoded, rows, shared));
  return (vector) => (hasUnchanged(vector) ? unchangedVector(known(knownValues(vector)), flagsOf(vector, rows)) : known(vector));
}

function flagsOf(vector: Vector, rows: RowNumbers): Uint8Array {
  const flags = new Uint8Array(Math.ceil(rows.length / 8));
  for (let row = 0; row < rows.length; row++) if (isUnchanged(vector, rows[row]!)) flags[row >> 3]! |= 1 << (row & 7);
  return flags;
}

/** A row out of every vector, as one vector: for a single column. */
export const take = (vector: Vector, rows: RowNumbers): Vector => takeFrom(rows)(vector);

function taken(
  encoded: EncodedValues,
  rows: RowNumbers,
  shared: Map<Int32Array, { starts: Int32Array; lengths: Int32Array }>,
): EncodedValues {
  let places = shared.get(encoded.starts);
  if (!places) {
    places = { starts: rowsOfPlaces(encoded.starts, rows, encoded.stride), lengths: rowsOfPlaces(encoded.lengths, rows, encoded.stride) };
    shared.set(encoded.starts, places);
  }
  return { ...encoded, ...places };
}

function rowsOfPlaces(places: Int32Array, rows: RowNumbers, stride: number): Int32Array {
  const out = new Int32Array(rows.length * stride);
  for (let row = 0; row < rows.length; row++) {
    const from = rows[row]! * stride;
    for (let at = 0; at < stride; at++) out[row * stride + at] = places[from + at]!;
  }
  return out;
}

class TakenVector implements Vector {
  readonly type: ColumnType;
  readonly length: number;
  declare readonly encoded?: EncodedValues;
  readonly #of: Vector;
  readonly #rows: RowNumbers;

  constructor(of: Vector, rows: RowNumbers, encoded: EncodedValues | undefined) {
    this.type = of.type;
    this.length = rows.length;
    if (encoded) this.encoded = encoded;
    this.#of = of;
    this.#rows = rows;
  }

  isNull(row: number): boolean {
    return this.#of.isNull(this.#rows[row]!);
  }

  get(row: number): unknown {
    return this.#of.get(this.#rows[row]!);
  }
}

/** Rows `[from, to)` of a batch. */
export function sliceRows(batch: ColumnBatch, from: number, to: number): ColumnBatch {
  if (from === 0 && to === batch.rowCount) return batch;
  return takeRows(
    batch,
    Int32Array.from({ length: to - from }, (_, index) => from + index),
  );
}
