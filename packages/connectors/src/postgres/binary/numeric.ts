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

/** What one pass over a text can tell without a fraction of a doubt: at most twelve digits before the point and four after it. */
const mostWhole = 1_000_000_000_000;
const mostDecimals = 4;

/**
 * Writes the binary form of a plain decimal that fits `precision` and `scale` (undefined: any) and has few digits, and answers its
 * length; 0 for every other value, which has to be looked at more closely.
 */
export function encodeShortNumeric(
  text: string,
  precision: number | undefined,
  scale: number | undefined,
  out: Buffer,
  at: number,
): number {
  const size = text.length;
  const minus = text.charCodeAt(0) === 45;
  const begin = minus ? 1 : 0;
  let whole = 0;
  let from = begin;
  for (; from < size; from++) {
    const digit = text.charCodeAt(from) - 48;
    if (!(digit >= 0 && digit <= 9)) break;
    whole = whole * 10 + digit;
  }
  const digits = from - begin;
  if (digits === 0 || whole >= mostWhole || (digits > 1 && text.charCodeAt(begin) === 48)) return 0;
  let fraction = 0;
  let decimals = 0;
  if (from < size) {
    if (text.charCodeAt(from) !== 46) return 0;
    for (from++; from < size; from++, decimals++) {
      const digit = text.charCodeAt(from) - 48;
      if (!(digit >= 0 && digit <= 9)) return 0;
      fraction = fraction * 10 + digit;
    }
    if (decimals === 0 || decimals > mostDecimals) return 0;
    for (let missing = decimals; missing < mostDecimals; missing++) fraction *= 10;
  }
  if (precision !== undefined && (decimals !== scale || digits > precision - scale)) return 0;
  if (whole === 0 && fraction === 0) return minus ? 0 : header(out, at, 0, 0, 0, decimals);
  const high = Math.floor(whole / 100_000_000);
  const rest = whole - high * 100_000_000;
  const middle = (rest / 10_000) | 0;
  const low = rest - middle * 10_000;
  const weight = high > 0 ? 2 : middle > 0 ? 1 : low > 0 ? 0 : -1;
  let place = at + 8;
  if (weight === 2) place = group(out, place, high);
  if (weight >= 1) place = group(out, place, middle);
  if (weight >= 0) place = group(out, place, low);
  if (fraction > 0) place = group(out, place, fraction);
  // No zeros at the end: Postgres keeps none.
  while (out[place - 1] === 0 && out[place - 2] === 0) place -= 2;
  return header(out, at, (place - at - 8) / 2, weight, minus ? negative : 0, decimals);
}

function group(out: Buffer, at: number, value: number): number {
  out[at] = value >> 8;
  out[at + 1] = value & 255;
  return at + 2;
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
