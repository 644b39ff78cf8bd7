import { baseType, type ColumnType } from '../schema/index.ts';
import { arrayCodec } from './array-value.ts';
import { ascii } from './ascii.ts';
import { dateCodec, stampCodec, timeCodec } from './clock-value.ts';
import type { TextCodec } from './codec.ts';
import { floatCodec } from './float-value.ts';
import { bigintCodec, integerCodec } from './integer-value.ts';
import { intervalCodec } from './interval-value.ts';
import { mismatch } from './mismatch.ts';
import { numericCodec } from './numeric-value.ts';
import { type Decode, stringDecoder, utf8 } from './string-decoder.ts';
import {
  addressCodec,
  bitCodec,
  boolCodec,
  byteaCodec,
  charCodec,
  enumCodec,
  jsonCodec,
  macCodec,
  stringCodec,
  uuidCodec,
  varcharCodec,
} from './string-value.ts';

/** How a type travels as text: see `TextCodec`. */
export function textCodec(type: ColumnType): TextCodec {
  const base = baseType(type);
  switch (base.kind) {
    case 'bool':
      return boolCodec(type);
    case 'int2':
      return integerCodec(type, 16);
    case 'int4':
      return integerCodec(type, 32);
    case 'int8':
      return bigintCodec(type);
    case 'float4':
      return floatCodec(type, 32);
    case 'float8':
      return floatCodec(type, 64);
    case 'numeric':
      return numericCodec(base);
    case 'varchar':
      return varcharCodec(type, base.length);
    case 'char':
      return charCodec(type, base.length);
    case 'bit':
      return bitCodec(type, base.length, true);
    case 'varbit':
      return bitCodec(type, base.length, false);
    case 'bytea':
      return byteaCodec(type);
    case 'date':
      return dateCodec(type);
    case 'time':
    case 'timetz':
      return timeCodec(base);
    case 'timestamp':
    case 'timestamptz':
      return stampCodec(base);
    case 'interval':
      return intervalCodec(type);
    case 'uuid':
      return uuidCodec(type);
    case 'json':
    case 'jsonb':
      return jsonCodec(base);
    case 'inet':
    case 'cidr':
      return addressCodec(type);
    case 'macaddr':
      return macCodec(type, 6);
    case 'macaddr8':
      return macCodec(type, 8);
    case 'enum':
      return enumCodec(base);
    case 'array':
      return arrayCodec(base, textCodec(base.of));
    case 'text':
    case 'range':
    case 'other':
      return stringCodec(type);
    default:
      return base satisfies never;
  }
}

/** Any reasonable form of a value to the one form of `schema/column.ts`. @throws TYPE_MISMATCH, also for null and undefined */
export function conform(type: ColumnType): (value: unknown) => unknown {
  const codec = textCodec(type);
  return (value) => {
    if (value === null || value === undefined) throw mismatch(type, value, 'a value is needed here');
    return codec.conform(value);
  };
}

/** Any reasonable form of a value to the text that Postgres prints for it. @throws TYPE_MISMATCH */
export function encodeText(type: ColumnType): (value: unknown) => string {
  const fitting = conform(type);
  const { print } = textCodec(type);
  return (value) => print(fitting(value));
}

/**
 * Postgres's text, as bytes, to values. Make one for each column and keep it for the whole split: it remembers strings that
 * come again and again.
 */
export function decodeText(type: ColumnType): Decode {
  switch (baseType(type).kind) {
    case 'bool':
      return (bytes, start) => bytes[start] === 116;
    case 'int2':
    case 'int4':
      return wholeNumber;
    case 'int8':
      // Fifteen digits and a sign are exact as a number.
      return (bytes, start, end) => (end - start < 16 ? BigInt(wholeNumber(bytes, start, end)) : BigInt(ascii(bytes, start, end)));
    case 'float4':
      return (bytes, start, end) => Math.fround(Number(ascii(bytes, start, end)));
    case 'float8':
      return (bytes, start, end) => Number(ascii(bytes, start, end));
    case 'numeric':
    case 'uuid':
      return ascii;
    case 'date':
      return dateDecoder();
    case 'timestamp':
      return stampDecoder(false);
    case 'timestamptz':
      return stampDecoder(true);
    case 'text':
    case 'varchar':
    case 'char':
    case 'enum':
      return stringDecoder();
    default: {
      const { parse } = textCodec(type);
      return (bytes, start, end) => parse(utf8(bytes, start, end));
    }
  }
}

function wholeNumber(bytes: Buffer, start: number, end: number): number {
  const negative = bytes[start] === 45;
  let value = 0;
  for (let at = negative ? start + 1 : start; at < end; at++) value = value * 10 + bytes[at]! - 48;
  return negative ? -value : value;
}

/** Dates repeat: a table has a few thousand different ones at most. */
function dateDecoder(): Decode {
  const slots = 4096;
  const keys = new Int32Array(slots);
  const known: string[] = new Array(slots).fill('');
  return (b, s, end) => {
    if (end - s !== 10) return ascii(b, s, end);
    const year = b[s]! * 1000 + b[s + 1]! * 100 + b[s + 2]! * 10 + b[s + 3]!;
    const key = year * 512 + (b[s + 5]! * 10 + b[s + 6]! - 528) * 32 + b[s + 8]! * 10 + b[s + 9]! - 528;
    const slot = key & (slots - 1);
    if (keys[slot] === key) return known[slot];
    keys[slot] = key;
    known[slot] = ascii(b, s, end);
    return known[slot];
  };
}

/** `2024-02-29 23:59:59.12+00` to `2024-02-29T23:59:59.120000Z` by bytes, since this is the most common type to be read. */
function stampDecoder(zoned: boolean): Decode {
  const { parse } = textCodec({ kind: zoned ? 'timestamptz' : 'timestamp' });
  const out = Buffer.from('0000-00-00T00:00:00.000000Z');
  return (b, start, end) => {
    const last = zoned ? end - 3 : end;
    // A fifth year digit, BC and infinity all move the dash or the end.
    if (
      last - start < 19 ||
      last - start > 26 ||
      b[start + 4] !== 45 ||
      (zoned ? b[last] !== 43 || b[last + 1] !== 48 || b[last + 2] !== 48 : b[end - 1]! > 57)
    )
      return parse(ascii(b, start, end));
    for (let at = 0; at < 19; at++) if (at !== 10) out[at] = b[start + at]!;
    for (let at = 20; at < 26; at++) out[at] = start + at < last ? b[start + at]! : 48;
    return out.toString('latin1', 0, zoned ? 27 : 26);
  };
}
