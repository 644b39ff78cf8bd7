import { MillraceError } from '../error/index.ts';
import { baseType, type ColumnType, typeName } from '../schema/index.ts';
import type { EncodedValues, Vector } from './column-batch.ts';
import type { Decode } from './string-decoder.ts';
import { decodeText } from './text-value.ts';

/**
 * A vector over bytes as they came off a wire; a value is decoded when somebody asks for it. `decode` is built in for the
 * encoding `text` and comes from the connector for others. Pass the same `decode` for all batches of a split: it may remember.
 */
export function encodedVector(type: ColumnType, encoded: EncodedValues, rowCount: number, decode?: Decode): Vector {
  return new EncodedVector(type, encoded, rowCount, decode ?? builtIn(type, encoded));
}

function builtIn(type: ColumnType, { encoding }: EncodedValues): Decode {
  if (encoding === 'text') return decodeText(type);
  throw new MillraceError('INTERNAL', {
    message: `A ${encoding} vector of ${typeName(type)} came without a decoder.`,
    remedy: 'Please report it.',
  });
}

/** Values as `schema/column.ts` has them, null where NULL stands. They are not looked at: `conform` is the door for values of strangers. */
export function valuesVector(type: ColumnType, values: readonly unknown[]): Vector {
  return new ValuesVector(type, values);
}

/** The values of a fixed-width column. `validity` is Arrow's bitmap, least bit first, 1 where a value stands; all where it is left out. */
export function int32Vector(type: ColumnType, values: Int32Array, validity?: Uint8Array): Vector {
  return new TypedVector(typed(type, 'int2', 'int4'), values, validity);
}

export function float64Vector(type: ColumnType, values: Float64Array, validity?: Uint8Array): Vector {
  return new TypedVector(typed(type, 'float4', 'float8'), values, validity);
}

export function bigint64Vector(type: ColumnType, values: BigInt64Array, validity?: Uint8Array): Vector {
  return new TypedVector(typed(type, 'int8'), values, validity);
}

function typed(type: ColumnType, ...kinds: string[]): ColumnType {
  if (kinds.includes(baseType(type).kind)) return type;
  throw new MillraceError('TYPE_MISMATCH', {
    message: `A typed array cannot hold ${typeName(type)}.`,
    remedy: `It holds ${kinds.join(' and ')}; pass an array of values instead.`,
  });
}

class EncodedVector implements Vector {
  readonly type: ColumnType;
  readonly length: number;
  readonly encoded: EncodedValues;
  readonly #data: Buffer;
  readonly #starts: Int32Array;
  readonly #lengths: Int32Array;
  readonly #stride: number;
  readonly #offset: number;
  readonly #decode: Decode;

  constructor(type: ColumnType, encoded: EncodedValues, rowCount: number, decode: Decode) {
    this.type = type;
    this.length = rowCount;
    this.encoded = encoded;
    this.#data = encoded.data;
    this.#starts = encoded.starts;
    this.#lengths = encoded.lengths;
    this.#stride = encoded.stride;
    this.#offset = encoded.offset;
    this.#decode = decode;
  }

  isNull(row: number): boolean {
    return this.#lengths[row * this.#stride + this.#offset]! < 0;
  }

  get(row: number): unknown {
    const at = row * this.#stride + this.#offset;
    const length = this.#lengths[at]!;
    if (length < 0) return null;
    const start = this.#starts[at]!;
    return this.#decode(this.#data, start, start + length);
  }
}

class ValuesVector implements Vector {
  readonly type: ColumnType;
  readonly length: number;
  readonly #values: readonly unknown[];

  constructor(type: ColumnType, values: readonly unknown[]) {
    this.type = type;
    this.length = values.length;
    this.#values = values;
  }

  isNull(row: number): boolean {
    return this.#values[row] === null;
  }

  get(row: number): unknown {
    return this.#values[row];
  }
}

/** Fixed-width values in memory of their own, readable as a whole: see `typedValues`. */
class TypedVector implements Vector {
  readonly type: ColumnType;
  readonly length: number;
  readonly values: Int32Array | Float64Array | BigInt64Array;
  readonly validity: Uint8Array | undefined;

  constructor(type: ColumnType, values: Int32Array | Float64Array | BigInt64Array, validity: Uint8Array | undefined) {
    this.type = type;
    this.length = values.length;
    this.values = values;
    this.validity = validity;
  }

  isNull(row: number): boolean {
    return this.validity !== undefined && (this.validity[row >> 3]! & (1 << (row & 7))) === 0;
  }

  get(row: number): unknown {
    return this.isNull(row) ? null : this.values[row];
  }
}

export interface TypedValues {
  readonly values: Int32Array | Float64Array | BigInt64Array;
  /** Arrow's bitmap; undefined where nothing is NULL. */
  readonly validity: Uint8Array | undefined;
}

/**
 * A fixed-width column (int2, int4, float4, float8, int8) as a typed array with Arrow's validity bitmap; decoded now where it
 * is not in that form yet. Null for other types.
 */
export function typedValues(vector: Vector): TypedValues | null {
  if (vector instanceof TypedVector) return vector;
  const kind = baseType(vector.type).kind;
  const { length } = vector;
  let values: Int32Array | Float64Array | BigInt64Array;
  if (kind === 'int2' || kind === 'int4') values = new Int32Array(length);
  else if (kind === 'float4' || kind === 'float8') values = new Float64Array(length);
  else if (kind === 'int8') values = new BigInt64Array(length);
  else return null;
  let validity: Uint8Array | undefined;
  for (let row = 0; row < length; row++) {
    const value = vector.get(row);
    if (value !== null) values[row] = value as never;
    else {
      validity ??= new Uint8Array(Math.ceil(length / 8)).fill(255);
      validity[row >> 3]! &= ~(1 << (row & 7));
    }
  }
  return { values, validity };
}

/**
 * A vector with values that are not known, since the update they belong to did not change them and the source did not send them.
 * They are not NULL; asking for one throws. `flags` has a bit for each row, least first, 1 where the value is unchanged.
 */
export function unchangedVector(vector: Vector, flags: Uint8Array): Vector {
  return new UnchangedVector(vector, flags);
}

/** Whether a value is unknown because it did not change. */
export const isUnchanged = (vector: Vector, row: number): boolean => vector instanceof UnchangedVector && vector.unchanged(row);

/** The vector behind one with unchanged values: a value for each row that has one, NULL or empty elsewhere. */
export const knownValues = (vector: Vector): Vector => (vector instanceof UnchangedVector ? vector.known : vector);

/** True where some value may be unknown. */
export const hasUnchanged = (vector: Vector): boolean => vector instanceof UnchangedVector;

class UnchangedVector implements Vector {
  readonly type: ColumnType;
  readonly length: number;
  readonly known: Vector;
  readonly #flags: Uint8Array;

  constructor(known: Vector, flags: Uint8Array) {
    this.type = known.type;
    this.length = known.length;
    this.known = known;
    this.#flags = flags;
  }

  unchanged(row: number): boolean {
    return (this.#flags[row >> 3]! & (1 << (row & 7))) !== 0;
  }

  isNull(row: number): boolean {
    return !this.unchanged(row) && this.known.isNull(row);
  }

  get(row: number): unknown {
    if (!this.unchanged(row)) return this.known.get(row);
    throw new MillraceError('CHANGE_INCOMPLETE', {
      message: 'The update left this value as it was, and the source did not send it.',
      remedy: 'ALTER TABLE … REPLICA IDENTITY FULL at the source, then copy the table again with "millrace resync".',
    });
  }
}
