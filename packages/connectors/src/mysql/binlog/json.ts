import { corrupt } from './corrupt.ts';
import { decimalReader } from './decimal.ts';
import { datetimeText, timeText } from './packed-time.ts';
import { Scratch } from './scratch.ts';

/*
 * JSON as MySQL keeps it: a byte of type, then the value. Objects and arrays have the number of their members, their size, and tables of where
 * keys and values stand, in 2 bytes each where they are small and in 4 where they are large; short values stand in the table itself.
 * Source: sql-common/json_binary.h of MySQL.
 */
const types = {
  smallObject: 0,
  largeObject: 1,
  smallArray: 2,
  largeArray: 3,
  literal: 4,
  int16: 5,
  uint16: 6,
  int32: 7,
  uint32: 8,
  int64: 9,
  uint64: 10,
  double: 11,
  string: 12,
  opaque: 15,
} as const;

const literals = ['null', 'true', 'false'];
/** MySQL allows 100 levels. */
const deepest = 100;

/** The text of a document, as MySQL prints it. @throws WIRE_CORRUPT */
export function jsonText(bytes: Buffer): string {
  // An empty value is what a column of JSON has that was added without a default.
  if (bytes.length === 0) return 'null';
  return value(bytes, bytes[0]!, 1, bytes.length, 0);
}

/** The value of a type that stands at `at`; its container ends at `end`. */
function value(bytes: Buffer, type: number, at: number, end: number, depth: number): string {
  const need = (length: number): void => {
    if (at + length > end) throw corrupt(`a JSON value of ${length} bytes where ${end - at} are left`);
  };
  switch (type) {
    case types.smallObject:
    case types.largeObject:
      return object(bytes, at, end, type === types.largeObject, depth);
    case types.smallArray:
    case types.largeArray:
      return array(bytes, at, end, type === types.largeArray, depth);
    case types.literal: {
      need(1);
      const literal = literals[bytes[at]!];
      if (literal === undefined) throw corrupt(`a JSON literal ${bytes[at]}`);
      return literal;
    }
    case types.int16:
      need(2);
      return String(bytes.readInt16LE(at));
    case types.uint16:
      need(2);
      return String(bytes.readUInt16LE(at));
    case types.int32:
      need(4);
      return String(bytes.readInt32LE(at));
    case types.uint32:
      need(4);
      return String(bytes.readUInt32LE(at));
    case types.int64:
      need(8);
      return String(bytes.readBigInt64LE(at));
    case types.uint64:
      need(8);
      return String(bytes.readBigUInt64LE(at));
    case types.double:
      need(8);
      return double(bytes.readDoubleLE(at));
    case types.string: {
      const { start, length } = sized(bytes, at, end);
      return JSON.stringify(bytes.toString('utf8', start, start + length));
    }
    case types.opaque: {
      need(1);
      const { start, length } = sized(bytes, at + 1, end);
      return opaque(bytes[at]!, bytes.subarray(start, start + length));
    }
    default:
      throw corrupt(`a JSON value of type ${type}`);
  }
}

/** Digits before the point with which a number is still written without an exponent, and zeros behind it. Source: dtoa.cc, my_gcvt. */
const mostPlaces = 15;

/** As MySQL prints it. It is told from a whole number by its point or its exponent. */
function double(number: number): string {
  if (number === 0) return Object.is(number, -0) ? '-0.0' : '0.0';
  const [mantissa = '', exponent] = Math.abs(number).toExponential().split('e');
  const digits = mantissa.replace('.', '');
  const point = Number(exponent) + 1;
  const sign = number < 0 ? '-' : '';
  if (point > 0 && point < digits.length) return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
  if (point > 0 && point <= mostPlaces) return `${sign}${digits.padEnd(point, '0')}.0`;
  if (point <= 0 && point > -mostPlaces) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  return `${sign}${mantissa}e${Number(exponent)}`;
}

/** A length in groups of seven bits, the lowest first, and what follows it. */
function sized(bytes: Buffer, at: number, end: number): { readonly start: number; readonly length: number } {
  let length = 0;
  for (let place = 0; place < 5; place++) {
    const byte = bytes[at + place];
    if (byte === undefined || at + place >= end) break;
    length += (byte & 127) * 128 ** place;
    if (byte < 128) {
      const start = at + place + 1;
      if (start + length > end) break;
      return { start, length };
    }
  }
  throw corrupt('a JSON string that is longer than its document');
}

interface Container {
  readonly members: number;
  readonly word: 2 | 4;
  /** Where its tables begin, and where it ends. */
  readonly tables: number;
  readonly end: number;
  readonly read: (at: number) => number;
}

function container(bytes: Buffer, at: number, end: number, isLarge: boolean, depth: number): Container {
  if (depth > deepest) throw corrupt(`a JSON document deeper than ${deepest} levels`);
  const word = isLarge ? 4 : 2;
  const read = (place: number): number => {
    if (place + word > end) throw corrupt('a JSON document that ends in the middle');
    return isLarge ? bytes.readUInt32LE(place) : bytes.readUInt16LE(place);
  };
  const members = read(at);
  const size = read(at + word);
  if (at + size > end) throw corrupt('a JSON document that ends in the middle');
  return { members, word, tables: at + 2 * word, end: at + size, read };
}

/** The member whose place is in the table of values at `entry`. */
function member(bytes: Buffer, at: number, entry: number, { word, end, read }: Container, depth: number): string {
  const type = bytes[entry];
  if (type === undefined || entry >= end) throw corrupt('a JSON document that ends in the middle');
  const isInTable =
    type === types.literal ||
    type === types.int16 ||
    type === types.uint16 ||
    (word === 4 && (type === types.int32 || type === types.uint32));
  return isInTable ? value(bytes, type, entry + 1, end, depth) : value(bytes, type, at + read(entry + 1), end, depth + 1);
}

function object(bytes: Buffer, at: number, end: number, isLarge: boolean, depth: number): string {
  const inside = container(bytes, at, end, isLarge, depth);
  const { members, word, tables, read } = inside;
  const values = tables + members * (word + 2);
  const parts: string[] = [];
  for (let place = 0; place < members; place++) {
    const entry = tables + place * (word + 2);
    const start = at + read(entry);
    if (entry + word + 2 > inside.end) throw corrupt('a JSON document that ends in the middle');
    const length = bytes.readUInt16LE(entry + word);
    if (start + length > inside.end) throw corrupt('a JSON key that is longer than its document');
    const key = JSON.stringify(bytes.toString('utf8', start, start + length));
    parts.push(`${key}: ${member(bytes, at, values + place * (word + 1), inside, depth)}`);
  }
  return `{${parts.join(', ')}}`;
}

function array(bytes: Buffer, at: number, end: number, isLarge: boolean, depth: number): string {
  const inside = container(bytes, at, end, isLarge, depth);
  const { members, word, tables } = inside;
  const parts: string[] = [];
  for (let place = 0; place < members; place++) parts.push(member(bytes, at, tables + place * (word + 1), inside, depth));
  return `[${parts.join(', ')}]`;
}

/** A value that JSON has no type for: by the number of its column type. */
function opaque(type: number, bytes: Buffer): string {
  switch (type) {
    case 246: {
      if (bytes.length < 2) throw corrupt('a JSON decimal that is cut short');
      const out = new Scratch();
      decimalReader(bytes[0]!, bytes[1]!)(bytes, 2, out);
      return out.bytes.toString('latin1', 0, out.size);
    }
    case 7:
    case 10:
    case 12:
      return `"${datetimeText(eight(bytes), type === 10)}"`;
    case 11:
      return `"${timeText(eight(bytes))}"`;
    default:
      return `"base64:type${type}:${bytes.toString('base64')}"`;
  }
}

function eight(bytes: Buffer): bigint {
  if (bytes.length !== 8) throw corrupt(`a JSON time of ${bytes.length} bytes`);
  return bytes.readBigInt64LE(0);
}
