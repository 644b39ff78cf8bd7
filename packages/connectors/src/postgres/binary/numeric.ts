import { ascii } from '@millrace/core/runtime';
import { int16, uint16 } from './field.ts';

/**
 * numeric: base-10000 digits. `int16 ndigits, int16 weight, uint16 sign, uint16 dscale, int16 digits[ndigits]`; the first
 * digit counts 10000^weight, and `dscale` decimals are shown. Source: numeric_send in src/backend/utils/adt/numeric.c.
 */
const negative = 0x4000;
const nan = 0xc000;
const positiveInfinity = 0xd000;
const negativeInfinity = 0xf000;

const scratch = Buffer.alloc(64);

export function decodeNumeric(b: Buffer, start: number): string {
  const count = uint16(b, start);
  const weight = int16(b, start + 2);
  const sign = uint16(b, start + 4);
  const scale = uint16(b, start + 6);
  if (sign > negative) return sign === nan ? 'NaN' : sign === positiveInfinity ? 'Infinity' : '-Infinity';
  return weight < 4 && scale <= 8 ? short(b, start + 8, count, weight, sign, scale) : long(b, start + 8, count, weight, sign, scale);
}

/** At most 16 digits before the point and 8 after it, written into one small buffer. */
function short(b: Buffer, digits: number, count: number, weight: number, sign: number, scale: number): string {
  const out = scratch;
  let at = 0;
  if (sign === negative) out[at++] = 45;
  if (weight < 0 || count === 0) out[at++] = 48;
  else {
    const first = uint16(b, digits);
    if (first >= 1000) out[at++] = 48 + ((first / 1000) | 0);
    if (first >= 100) out[at++] = 48 + (((first / 100) | 0) % 10);
    if (first >= 10) out[at++] = 48 + (((first / 10) | 0) % 10);
    out[at++] = 48 + (first % 10);
    for (let index = 1; index <= weight; index++) at = four(out, at, index < count ? uint16(b, digits + 2 * index) : 0);
  }
  if (scale > 0) {
    out[at++] = 46;
    const point = at;
    for (let index = weight + 1; at - point < scale; index++)
      at = four(out, at, index >= 0 && index < count ? uint16(b, digits + 2 * index) : 0);
    at = point + scale;
  }
  return ascii(out, 0, at);
}

function four(out: Buffer, at: number, value: number): number {
  const high = (value / 100) | 0;
  const low = value - high * 100;
  const h = (high / 10) | 0;
  const l = (low / 10) | 0;
  out[at] = 48 + h;
  out[at + 1] = 48 + high - h * 10;
  out[at + 2] = 48 + l;
  out[at + 3] = 48 + low - l * 10;
  return at + 4;
}

function long(b: Buffer, digits: number, count: number, weight: number, sign: number, scale: number): string {
  const groups = Math.max(weight + 1, 0) + Math.ceil(scale / 4);
  const out = Buffer.allocUnsafe(4 * groups + 8);
  let at = 0;
  for (let index = 0; index <= weight; index++) at = four(out, at, index < count ? uint16(b, digits + 2 * index) : 0);
  let from = 0;
  while (from < at - 1 && out[from] === 48) from++;
  const whole = at === 0 ? '0' : out.toString('latin1', from, at);
  at = 0;
  for (let index = weight + 1; at < scale; index++) at = four(out, at, index >= 0 && index < count ? uint16(b, digits + 2 * index) : 0);
  return `${sign === negative ? '-' : ''}${whole}${scale > 0 ? `.${out.toString('latin1', 0, scale)}` : ''}`;
}

/**
 * Writes the binary form of canonical text (`-12.50`, `NaN`) at `at`; answers its length. `out` must have room for
 * `numericRoom(text)` bytes.
 */
export function encodeNumeric(text: string, out: Buffer, at: number): number {
  const first = text.charCodeAt(0);
  if (first > 57 || (first === 45 && text.charCodeAt(1) > 57)) return special(text, out, at);
  const minus = first === 45;
  const begin = minus ? 1 : 0;
  const point = text.indexOf('.', begin);
  const size = text.length;
  const wholeEnd = point < 0 ? size : point;
  const scale = point < 0 ? 0 : size - point - 1;
  // Digits before the point are grouped from the point to the left, those after it from the point to the right.
  let weight = Math.ceil((wholeEnd - begin) / 4) - 1;
  let place = at + 8;
  let count = 0;
  let trailing = 0;
  let from = begin;
  let left = (wholeEnd - begin) % 4 || 4;
  while (from < wholeEnd) {
    let group = 0;
    for (const stop = from + left; from < stop; from++) group = group * 10 + text.charCodeAt(from) - 48;
    left = 4;
    if (group === 0 && count === 0) {
      weight--;
      continue;
    }
    out[place] = group >> 8;
    out[place + 1] = group & 255;
    place += 2;
    count++;
    trailing = group === 0 ? trailing + 1 : 0;
  }
  for (from = wholeEnd + 1; from < size; from += 4) {
    let group = 0;
    for (let digit = 0; digit < 4; digit++) group = group * 10 + (from + digit < size ? text.charCodeAt(from + digit) - 48 : 0);
    if (group === 0 && count === 0) {
      weight--;
      continue;
    }
    out[place] = group >> 8;
    out[place + 1] = group & 255;
    place += 2;
    count++;
    trailing = group === 0 ? trailing + 1 : 0;
  }
  count -= trailing;
  if (count === 0) weight = 0;
  return header(out, at, count, weight, minus && count > 0 ? negative : 0, scale);
}

/** An upper bound for the bytes of `encodeNumeric`. */
export const numericRoom = (text: string): number => 8 + (text.length >> 1) + 8;

function special(text: string, out: Buffer, at: number): number {
  return header(out, at, 0, 0, text === 'NaN' ? nan : text === 'Infinity' ? positiveInfinity : negativeInfinity, 0);
}

function header(out: Buffer, at: number, count: number, weight: number, sign: number, scale: number): number {
  out[at] = count >> 8;
  out[at + 1] = count & 255;
  out[at + 2] = weight >> 8;
  out[at + 3] = weight & 255;
  out[at + 4] = sign >> 8;
  out[at + 5] = sign & 255;
  out[at + 6] = scale >> 8;
  out[at + 7] = scale & 255;
  return 8 + 2 * count;
}
