import {
  type ColumnSchema,
  type ColumnType,
  type Decode,
  decodeText,
  type EncodedValues,
  encodedVector,
  MillraceError,
  type RowSchema,
  typeName,
  type Vector,
} from '@millrace/core/runtime';
import { binaryDecoder } from '../binary/decode.ts';
import { formOf } from '../binary/form.ts';
import { columnKinds } from '../replication/tuple.ts';
import { type Convert, conversion, textConversion } from './convert.ts';

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

export interface ColumnSource {
  readonly column: ColumnSchema;
  /** The type at the source; null where the column is not there. */
  readonly from: ColumnType | null;
  readonly source: number;
}

export interface ShapeParts {
  readonly table: string;
  readonly key: readonly string[] | undefined;
  readonly columns: readonly ColumnSource[];
  /** Columns of the relation: true for those of its replica identity. */
  readonly sources: readonly boolean[];
  /** The stream was asked for binary values. */
  readonly binary: boolean;
}

export function tableShape({ table, key, columns, sources, binary }: ShapeParts): TableShape {
  const used = columns.filter(({ source }) => source >= 0).length;
  const unnamed = columns.flatMap(({ column, source }, place) => (key?.includes(column.name) && sources[source] === false ? [place] : []));
  return {
    table,
    schema: { columns: columns.map(({ column }) => column), ...(key && { key }) },
    columns: columns.map((column) => shapeColumn(table, column, binary)),
    whole: used === sources.length,
    unnamed: unnamed.length > 0 ? unnamed : null,
  };
}

function shapeColumn(table: string, { column, from, source }: ColumnSource, binary: boolean): ShapeColumn {
  const { name, type } = column;
  const own = from ?? type;
  // Types that have no binary form at the server come as text in a binary stream too; a stream with others of that form is not binary.
  const encoding = binary && formOf(own) !== 'text' ? 'pg-binary' : 'text';
  const convert = encoding === 'text' ? textConversion(own, type) : (conversion(own, type) ?? null);
  const decode = encoding === 'text' ? decodeText(type) : binaryDecoder(convert ? own : type);
  const expected = encoding === 'text' ? columnKinds.text : columnKinds.binary;
  return {
    type,
    source,
    encoding,
    decode: convert ? converted(decode, convert) : decode,
    sameBytes: convert === null,
    check(kind) {
      if (kind !== expected) throw unexpected(`${table}.${name}`, own, kind);
    },
  };
}

const converted =
  (decode: Decode, convert: Convert): Decode =>
  (bytes, start, end) =>
    convert(decode(bytes, start, end));

/** Whether values of these columns can be read from a binary stream. `canSend`: the type has a binary form at the server. */
export function canBeBinary(from: ColumnType, to: ColumnType, canSend: boolean): boolean {
  if (formOf(from) === 'text') return !canSend;
  return conversion(from, to) !== undefined;
}

const unexpected = (column: string, type: ColumnType, kind: number): MillraceError =>
  new MillraceError('WIRE_CORRUPT', {
    message: `A value of ${column} (${typeName(type)}) came as ${kind === columnKinds.text ? 'text' : 'binary'}, which was not expected of it.`,
    remedy: 'The stream is opened anew, in text where that is needed. If it stays, report it.',
  });

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
