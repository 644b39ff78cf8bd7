import { type ColumnType, type Decode, type EncodedValues, encodedVector, type RowSchema, type Vector } from '@millrace/core/runtime';

/** How the tuples of a relation become rows of a table of the pipeline. Another one whenever the relation changes. */
export interface TableShape {
  /** Its name in the pipeline. */
  readonly table: string;
  readonly schema: RowSchema;
  readonly columns: readonly ShapeColumn[];
  /** No column of the relation is left out. */
  readonly whole: boolean;
  /** Key columns that are no part of the replica identity: an update or delete does not say what they were. Null for none. */
  readonly unnamed: readonly number[] | null;
}

export interface ShapeColumn {
  readonly type: ColumnType;
  /** Place in the relation; -1 where it has no such column (yet, or any more): NULL then. */
  readonly source: number;
  readonly encoding: EncodedValues['encoding'];
  readonly decode: Decode;
  /** False where the bytes are of a narrower type and only the values are of this one. */
  readonly sameBytes: boolean;
  /** @throws WIRE_CORRUPT where a value comes in another encoding than this column was taken to have */
  check(kind: number): void;
}

type Places = Omit<EncodedValues, 'encoding' | 'offset'>;

export function columnVector(column: ShapeColumn, places: Places, offset: number, rows: number): Vector {
  if (column.sameBytes) return encodedVector(column.type, { encoding: column.encoding, ...places, offset }, rows, column.decode);
  return new ConvertedVector(column, places, offset, rows);
}

/** Values of a wider type than their bytes are of, so nobody may take the bytes for them. */
class ConvertedVector implements Vector {
  readonly type: ColumnType;
  readonly length: number;
  readonly #decode: Decode;
  readonly #places: Places;
  readonly #offset: number;

  constructor({ type, decode }: ShapeColumn, places: Places, offset: number, rows: number) {
    this.type = type;
    this.length = rows;
    this.#decode = decode;
    this.#places = places;
    this.#offset = offset;
  }

  isNull(row: number): boolean {
    return this.#places.lengths[row * this.#places.stride + this.#offset]! < 0;
  }

  get(row: number): unknown {
    const { data, starts, lengths, stride } = this.#places;
    const at = row * stride + this.#offset;
    const length = lengths[at]!;
    return length < 0 ? null : this.#decode(data, starts[at]!, starts[at]! + length);
  }
}
