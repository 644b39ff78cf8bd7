import {
  ascii,
  baseType,
  type ColumnBatch,
  type ColumnType,
  type Decode,
  decodeText,
  encodedVector,
  inColumn,
  MillraceError,
  type RowSchema,
  textCodec,
  typeName,
  type Vector,
} from '@millrace/core/runtime';
import type { Expression } from './expression.ts';
import type { ScannedRows } from './wire/rows.ts';

/** What becomes of `0000-00-00` and its like, which are no days. */
export type ZeroDates = 'fail' | 'null';

/**
 * Rows as they came, as column batches. What the server prints as Postgres does goes on as bytes, after a look where a value might be
 * none; what it prints in its own way is decoded when somebody asks for it.
 */
export function batcher(schema: RowSchema, columns: readonly Expression[], zeroDates: ZeroDates): (scanned: ScannedRows) => ColumnBatch {
  const stride = columns.length;
  const makers = columns.map((column) => makerOf(column, zeroDates));
  return (scanned) => ({
    schema,
    rowCount: scanned.rows,
    vectors: makers.map((make, offset) => {
      try {
        return make(scanned, offset, stride);
      } catch (error) {
        throw inColumn(columns[offset]?.name ?? '', error);
      }
    }),
  });
}

type Maker = (scanned: ScannedRows, offset: number, stride: number) => Vector;

function makerOf(column: Expression, zeroDates: ZeroDates): Maker {
  const { form, type } = column;
  switch (form) {
    case 'text':
      return textMaker(type);
    case 'flag':
      return textMaker(type, checkFlag(column));
    case 'date':
      return textMaker(type, checkDay(column, zeroDates));
    case 'datetime':
      return textMaker(type, checkDay(column, zeroDates), trim(0));
    case 'instant':
      return textMaker(type, checkDay(column, zeroDates), trim(3));
    case 'clock':
      return textMaker(type, checkTimeOfDay(column), trim(0));
    case 'uuid':
      return textMaker(type, checkUuid(column));
    case 'float':
      return decodedMaker(column, column.from.kind === 'float4' ? float4 : float8);
    case 'duration':
      return decodedMaker(column, duration);
    case 'bytes':
      return decodedMaker(column, (bytes, start, end) => new Uint8Array(bytes.subarray(start, end)));
    case 'geometry':
      return decodedMaker(column, (bytes, start, end) => new Uint8Array(bytes.subarray(start + sridBytes, end)));
    default:
      return form satisfies never;
  }
}

/** Looks at one value, or shortens it. `at` is its place in `starts` and `lengths`. */
type Fix = (scanned: ScannedRows, at: number) => void;

/** Values whose bytes Postgres would print, once `fixes` have been at them. */
function textMaker(type: ColumnType, ...fixes: readonly Fix[]): Maker {
  const decode = decodeText(type);
  return (scanned, offset, stride) => {
    const { data, starts, lengths, rows } = scanned;
    for (const fix of fixes) for (let row = 0, at = offset; row < rows; row++, at += stride) if (lengths[at]! >= 0) fix(scanned, at);
    return encodedVector(type, { encoding: 'text', data, starts, lengths, stride, offset }, rows, decode);
  };
}

function decodedMaker({ type, from }: Expression, decode: Decode): Maker {
  const kind = baseType(type).kind;
  const isText = kind === 'text' || kind === 'varchar';
  const { print } = textCodec(from);
  const shown: Decode = isText ? (bytes, start, end) => print(decode(bytes, start, end)) : decode;
  return ({ data, starts, lengths, rows }, offset, stride) =>
    new DecodedVector(type, rows, { data, starts, lengths, stride, offset }, shown);
}

interface Places {
  readonly data: Buffer;
  readonly starts: Int32Array;
  readonly lengths: Int32Array;
  readonly stride: number;
  readonly offset: number;
}

/** Over bytes that nobody else can read: they are the server's own. */
class DecodedVector implements Vector {
  readonly type: ColumnType;
  readonly length: number;
  readonly #places: Places;
  readonly #decode: Decode;

  constructor(type: ColumnType, length: number, places: Places, decode: Decode) {
    this.type = type;
    this.length = length;
    this.#places = places;
    this.#decode = decode;
  }

  isNull(row: number): boolean {
    const { lengths, stride, offset } = this.#places;
    return lengths[row * stride + offset]! < 0;
  }

  get(row: number): unknown {
    const { data, starts, lengths, stride, offset } = this.#places;
    const at = row * stride + offset;
    const length = lengths[at]!;
    return length < 0 ? null : this.#decode(data, starts[at]!, starts[at]! + length);
  }
}

/** Before the WKB of a geometry. */
const sridBytes = 4;

const float8: Decode = (bytes, start, end) => Number(ascii(bytes, start, end));
const float4: Decode = (bytes, start, end) => Math.fround(Number(ascii(bytes, start, end)));

/** `-838:59:59.5` as `PT-838H-59M-59.5S`. */
const duration: Decode = (bytes, start, end) => {
  const text = ascii(bytes, start, end);
  const sign = text.startsWith('-') ? '-' : '';
  const [hours = '0', minutes = '0', seconds = '0'] = text.slice(sign.length).split(':');
  const [whole = '0', fraction = ''] = seconds.split('.');
  const decimals = fraction.replace(/0+$/, '');
  const part = (amount: string, unit: string): string => (amount === '0' ? '' : `${sign}${amount}${unit}`);
  const second = `${Number(whole)}${decimals === '' ? '' : `.${decimals}`}`;
  const parts = part(String(Number(hours)), 'H') + part(String(Number(minutes)), 'M') + part(second, 'S');
  return parts === '' ? 'PT0S' : `PT${parts}`;
};

const zero = 48;

/** Year, month or day 0, or what ALLOW_INVALID_DATES lets in: `2023-02-31`. */
function checkDay({ type, nullable }: Expression, zeroDates: ZeroDates): Fix {
  return ({ data, starts, lengths }, at) => {
    const start = starts[at]!;
    const two = (place: number): number => (data[place]! - zero) * 10 + data[place + 1]! - zero;
    const [year, month, day] = [two(start) * 100 + two(start + 2), two(start + 5), two(start + 8)];
    if (year > 0 && month > 0 && day > 0 && (day <= 28 || day <= daysIn(year, month))) return;
    if (zeroDates === 'null' && nullable) {
      lengths[at] = -1;
      return;
    }
    const text = ascii(data, start, start + lengths[at]!);
    throw new MillraceError('VALUE_UNREPRESENTABLE', {
      message: `${text} is no ${baseType(type).kind === 'date' ? 'day' : 'moment'}.`,
      remedy:
        zeroDates === 'null'
          ? 'It would be read as NULL: declare the column orNull().'
          : `Read zero dates as NULL with mysql({ …, zeroDates: 'null' }) and orNull(), or correct them at the source.`,
      facts: { value: text, type: typeName(type) },
    });
  };
}

function daysIn(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** Takes the zeros at the end of a fraction away, before the last `suffix` bytes. */
function trim(suffix: number): Fix {
  return ({ data, starts, lengths }, at) => {
    const start = starts[at]!;
    const end = start + lengths[at]! - suffix;
    if (end - start < 10 || data[end - 1] !== zero || !hasPoint(data, start, end)) return;
    let last = end;
    while (data[last - 1] === zero) last--;
    if (data[last - 1] === 46) last--;
    data.copyWithin(last, end, end + suffix);
    lengths[at] = last - start + suffix;
  };
}

/** In the last seven bytes, where a fraction has its. */
function hasPoint(data: Buffer, start: number, end: number): boolean {
  for (let at = end - 1; at >= start && at >= end - 7; at--) if (data[at] === 46) return true;
  return false;
}

function checkFlag({ type }: Expression): Fix {
  return ({ data, starts, lengths }, at) => {
    const start = starts[at]!;
    if (lengths[at] === 1 && (data[start] === 116 || data[start] === 102)) return;
    const text = ascii(data, start, start + lengths[at]!);
    throw new MillraceError('VALUE_UNREPRESENTABLE', {
      message: `${text} is neither 0 nor 1.`,
      remedy: 'Declare the column int2(), or correct the value at the source.',
      facts: { value: text, type: typeName(type) },
    });
  };
}

/** `hh:mm:ss`, up to `24:00:00`. */
function checkTimeOfDay({ type }: Expression): Fix {
  return ({ data, starts, lengths }, at) => {
    const start = starts[at]!;
    const hour = (data[start]! - zero) * 10 + data[start + 1]! - zero;
    const isOfDay =
      data[start + 2] === 58 && hour >= 0 && (hour < 24 || /^24:00:00(\.0*)?$/.test(ascii(data, start, start + lengths[at]!)));
    if (isOfDay) return;
    const text = ascii(data, start, start + lengths[at]!);
    throw new MillraceError('VALUE_UNREPRESENTABLE', {
      message: `${text} is no time of day.`,
      remedy: 'Declare the column interval(), which holds every value of a MySQL time.',
      facts: { value: text, type: typeName(type) },
    });
  };
}

/** In lower case, as the SELECT makes it. */
function checkUuid({ type }: Expression): Fix {
  return ({ data, starts, lengths }, at) => {
    const start = starts[at]!;
    const text = ascii(data, start, start + lengths[at]!);
    if (/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/.test(text)) return;
    throw new MillraceError('VALUE_UNREPRESENTABLE', {
      message: `"${text}" is no UUID.`,
      remedy: 'Declare the column varchar(36), or correct the value at the source.',
      facts: { value: text, type: typeName(type) },
    });
  };
}
