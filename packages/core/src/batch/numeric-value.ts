import type { ColumnType } from '../schema/index.ts';
import type { TextCodec } from './codec.ts';
import { mismatch } from './mismatch.ts';

type NumericType = Extract<ColumnType, { kind: 'numeric' }>;

const decimal = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/;
/** Postgres's limits for a numeric without precision. */
const mostIntegerDigits = 131_072;
const mostDecimals = 16_383;

/** numeric: text to the last digit. A number is taken where it is exact; nothing is ever rounded to fit. */
export function numericCodec(type: NumericType): TextCodec {
  const { precision } = type;
  const scale = precision === undefined ? undefined : (type.scale ?? 0);
  return {
    parse: (text) => text,
    conform(value) {
      const text = typeof value === 'string' ? value : numberText(type, value);
      return isCanonical(text, precision, scale) ? text : fitted(type, value, text, precision, scale);
    },
    print: (value) => value as string,
  };
}

/** The common case, told without taking the text apart: as many decimals as the scale says, no sign on zero, no zeros in front. */
function isCanonical(text: string, precision: number | undefined, scale: number | undefined): boolean {
  const { length } = text;
  const first = text.charCodeAt(0) === 45 ? 1 : 0;
  if (length === first || length > mostDecimals) return false;
  let point = length;
  let isZero = true;
  for (let at = first; at < length; at++) {
    const code = text.charCodeAt(at);
    if (code === 46 && point === length && at > first) point = at;
    else if (code < 48 || code > 57) return false;
    else if (code > 48) isZero = false;
  }
  if (point === length - 1 || (text.charCodeAt(first) === 48 && point > first + 1) || (isZero && first === 1)) return false;
  if (precision === undefined || scale === undefined) return true;
  const decimals = point === length ? 0 : length - point - 1;
  return decimals === scale && point - first <= precision - scale;
}

function fitted(type: NumericType, value: unknown, text: string, precision: number | undefined, scale: number | undefined): string {
  const special = specials[text.trim().toLowerCase()];
  if (special !== undefined) {
    if (special !== 'NaN' && precision !== undefined) throw mismatch(type, value, 'a numeric with a precision holds no infinity');
    return special;
  }
  const parts = decimal.exec(text.trim());
  if (!parts || (parts[2] === '' && !parts[3])) throw mismatch(type, value, 'it is not a decimal number');
  const exponent = Number(parts[4] ?? 0);
  if (Math.abs(exponent) > mostIntegerDigits + mostDecimals) throw mismatch(type, value, 'it has more digits than Postgres keeps');
  let [whole, fraction] = shifted(parts[2] ?? '', parts[3] ?? '', exponent);
  whole = whole.replace(/^0+(?=\d)/, '') || '0';
  if (scale !== undefined) {
    const kept = Math.max(scale, 0);
    if (/[1-9]/.test(fraction.slice(kept)))
      throw mismatch(type, value, `it has more than ${kept} decimals, and rounding is not done for you`);
    fraction = fraction.slice(0, kept).padEnd(kept, '0');
    if (scale < 0 && /[1-9]/.test(whole.slice(scale)))
      throw mismatch(type, value, `it is not a multiple of 1${'0'.repeat(-scale)}, and rounding is not done for you`);
  }
  // A scale above the precision is allowed: numeric(3,5) holds 0.00123.
  const significant =
    (whole + fraction).replace(/^0+/, '').length - (scale !== undefined && scale < 0 ? Math.min(-scale, whole.length) : 0);
  if (precision !== undefined && significant > precision) {
    throw mismatch(type, value, `it has ${significant} digits where ${precision} are kept, ${scale} of them after the point`);
  }
  if (whole.length > mostIntegerDigits || fraction.length > mostDecimals)
    throw mismatch(type, value, 'it has more digits than Postgres keeps');
  const digits = fraction === '' ? whole : `${whole}.${fraction}`;
  return parts[1] === '-' && /[1-9]/.test(digits) ? `-${digits}` : digits;
}

/** The digits before and after the point once it has moved by `exponent`. */
function shifted(whole: string, fraction: string, exponent: number): [string, string] {
  if (exponent === 0) return [whole, fraction];
  if (exponent > 0) return [whole + fraction.slice(0, exponent).padEnd(exponent, '0'), fraction.slice(exponent)];
  const cut = Math.max(whole.length + exponent, 0);
  return [whole.slice(0, cut), whole.slice(cut).padStart(-exponent, '0') + fraction];
}

const specials: Readonly<Record<string, string>> = {
  nan: 'NaN',
  infinity: 'Infinity',
  '+infinity': 'Infinity',
  inf: 'Infinity',
  '+inf': 'Infinity',
  '-infinity': '-Infinity',
  '-inf': '-Infinity',
};

function numberText(type: ColumnType, value: unknown): string {
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'number') throw mismatch(type, value, 'numeric is text with every digit', 'Pass a string such as "12.50".');
  if (Number.isFinite(value) && Math.abs(value) > Number.MAX_SAFE_INTEGER) {
    throw mismatch(type, value, 'a number above 2^53 has lost digits', 'Pass a string or a bigint.');
  }
  return String(value);
}
