import { type ColumnSchema, type ColumnType, type Decode, decodeText, MillraceError, typeName } from '@millrace/core/runtime';
import type { ShapeColumn, TableShape } from '../../changes/table-shape.ts';
import { columnKinds } from '../../changes/tuple.ts';
import { binaryDecoder } from '../binary/decode.ts';
import { formOf } from '../binary/form.ts';
import { type Convert, conversion, textConversion } from './convert.ts';

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
