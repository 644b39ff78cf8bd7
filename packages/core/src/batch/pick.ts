import type { ColumnType } from '../schema/index.ts';
import type { EncodedValues, Vector } from './column-batch.ts';
import { hasUnchanged, isUnchanged, knownValues, unchangedVector } from './vectors.ts';

/**
 * Values of several vectors of one type: value `row` is that of `from[which[row]]` at `rows[row]`, or NULL where `which[row]` is -1. Bytes
 * stay where they are, if they all stand in one buffer; what is unchanged stays so.
 */
export function pickVector(type: ColumnType, from: readonly Vector[], which: Int8Array, rows: Int32Array): Vector {
  const known = from.map(knownValues);
  const picked = new PickedVector(type, known, which, rows, encodedOf(known, which, rows));
  if (!from.some(hasUnchanged)) return picked;
  const flags = new Uint8Array(Math.ceil(rows.length / 8));
  for (let row = 0; row < rows.length; row++) {
    const vector = from[which[row]!];
    if (vector && isUnchanged(vector, rows[row]!)) flags[row >> 3]! |= 1 << (row & 7);
  }
  return unchangedVector(picked, flags);
}

function encodedOf(from: readonly Vector[], which: Int8Array, rows: Int32Array): EncodedValues | undefined {
  const first = from[0]?.encoded;
  if (!first || from.some(({ encoded }) => encoded?.data !== first.data || encoded.encoding !== first.encoding)) return undefined;
  const starts = new Int32Array(rows.length);
  const lengths = new Int32Array(rows.length).fill(-1);
  for (let row = 0; row < rows.length; row++) {
    const encoded = from[which[row]!]?.encoded;
    if (!encoded) continue;
    const at = rows[row]! * encoded.stride + encoded.offset;
    starts[row] = encoded.starts[at]!;
    lengths[row] = encoded.lengths[at]!;
  }
  return { encoding: first.encoding, data: first.data, starts, lengths, stride: 1, offset: 0 };
}

class PickedVector implements Vector {
  readonly type: ColumnType;
  readonly length: number;
  declare readonly encoded?: EncodedValues;
  readonly #from: readonly Vector[];
  readonly #which: Int8Array;
  readonly #rows: Int32Array;

  constructor(type: ColumnType, from: readonly Vector[], which: Int8Array, rows: Int32Array, encoded: EncodedValues | undefined) {
    this.type = type;
    this.length = rows.length;
    if (encoded) this.encoded = encoded;
    this.#from = from;
    this.#which = which;
    this.#rows = rows;
  }

  isNull(row: number): boolean {
    return this.#from[this.#which[row]!]?.isNull(this.#rows[row]!) ?? true;
  }

  get(row: number): unknown {
    return this.#from[this.#which[row]!]?.get(this.#rows[row]!) ?? null;
  }
}
