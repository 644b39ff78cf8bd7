import { baseType, type ColumnType, encodeText, type Vector } from '@millrace/core/runtime';
import { elementOid } from '../binary/form.ts';
import { Output } from '../binary/output.ts';
import { valueWriter } from '../binary/value-writer.ts';
import { type Piece, rowCount, vectorOf } from './pieces.ts';

/** How a column's values go into a parameter: as the binary form of an array of their type, or of `text` that the statement casts. */
export interface ArrayForm {
  /** As the statement names it: `int8[]`. */
  readonly type: string;
  /** Null for text. */
  readonly of: ColumnType | null;
}

const text: ArrayForm = { type: 'text[]', of: null };
const textOid = 25;

/** Bytes of text stay what they are: the server reads them as it reads a literal. */
export function arrayForm(pieces: readonly Piece[], column: string): ArrayForm {
  let type: ColumnType | null = null;
  for (const { batch } of pieces) {
    const vector = vectorOf(batch, column);
    if (!vector || vector.encoded?.encoding === 'text') return text;
    const base = baseType(vector.type);
    if (base.kind === 'array' || base.kind === 'enum' || elementOid(base) === undefined) return text;
    if (type !== null && type.kind !== base.kind) return text;
    type = base;
  }
  return type === null ? text : { type: `${type.kind === 'char' ? 'bpchar' : type.kind}[]`, of: type };
}

/**
 * One column of some rows as a binary array: `int32 dimensions, int32 hasNull, uint32 element type, int32 size, int32 lower bound`, then
 * each element behind its length. Source: array_recv in src/backend/utils/adt/arrayfuncs.c.
 */
export function arrayParameter(pieces: readonly Piece[], column: string, form: ArrayForm): Buffer {
  const count = rowCount(pieces);
  const out = new Output(32 + count * 16);
  out.int32(count === 0 ? 0 : 1);
  out.int32(1);
  out.int32(form.of === null ? textOid : (elementOid(form.of) ?? textOid));
  if (count > 0) {
    out.int32(count);
    out.int32(1);
  }
  for (const { batch, rows } of pieces) {
    const vector = vectorOf(batch, column);
    const size = rows ? rows.length : batch.rowCount;
    if (!vector) {
      out.room(4 * size);
      for (let at = 0; at < size; at++) out.int32(-1);
    } else if (sliceable(vector, form)) writeBytes(vector, rows, size, out);
    else writeValues(vector, rows, size, form, out);
  }
  return out.bytes.subarray(0, out.at);
}

/** Types whose binary form is their text. */
const characters = new Set(['text', 'varchar', 'char', 'json', 'enum']);

function sliceable({ encoded, type }: Vector, form: ArrayForm): boolean {
  if (form.of !== null) return encoded?.encoding === 'pg-binary';
  return encoded !== undefined && (encoded.encoding === 'text' || characters.has(baseType(type).kind));
}

function writeBytes(vector: Vector, rows: Int32Array | null, size: number, out: Output): void {
  const { data, starts, lengths, stride, offset } = vector.encoded!;
  for (let at = 0; at < size; at++) {
    const place = (rows ? rows[at]! : at) * stride + offset;
    const length = lengths[place]!;
    out.room(4 + Math.max(length, 0));
    out.int32(length);
    if (length > 0) out.copy(data, starts[place]!, length);
  }
}

function writeValues(vector: Vector, rows: Int32Array | null, size: number, form: ArrayForm, out: Output): void {
  const print = form.of === null ? encodeText(vector.type) : null;
  const write = form.of === null ? null : valueWriter(vector.type);
  for (let at = 0; at < size; at++) {
    const value = vector.get(rows ? rows[at]! : at);
    if (value === null) {
      out.room(4);
      out.int32(-1);
    } else if (print) {
      const printed = print(value);
      out.room(4 + 3 * printed.length);
      const length = out.bytes.write(printed, out.at + 4, 'utf8');
      out.int32(length);
      out.at += length;
    } else write!(value, out);
  }
}

/** Texts as a binary array. */
export function textParameter(values: readonly (string | null)[]): Buffer {
  const out = new Output(32 + values.length * 36);
  for (const number of values.length === 0 ? [0, 0, textOid] : [1, 1, textOid, values.length, 1]) out.int32(number);
  for (const value of values) {
    if (value === null) {
      out.room(4);
      out.int32(-1);
      continue;
    }
    out.room(4 + 3 * value.length);
    const length = out.bytes.write(value, out.at + 4, 'utf8');
    out.int32(length);
    out.at += length;
  }
  return out.bytes.subarray(0, out.at);
}

/** For each row a text of the transaction it belongs to. */
export function perTransaction(pieces: readonly Piece[], texts: readonly string[]): Buffer {
  const values: string[] = [];
  for (const { batch, rows, transactions } of pieces) {
    const size = rows ? rows.length : batch.rowCount;
    for (let at = 0; at < size; at++) values.push(texts[transactions[rows ? rows[at]! : at]!]!);
  }
  return textParameter(values);
}
