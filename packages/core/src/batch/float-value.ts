import type { ColumnType } from '../schema/index.ts';
import type { TextCodec } from './codec.ts';
import { mismatch } from './mismatch.ts';

/** float4 and float8: numbers. A float4 in JavaScript is the double of the same value, as `Math.fround` gives it. */
export function floatCodec(type: ColumnType, bits: 32 | 64): TextCodec {
  const round = bits === 32 ? Math.fround : (number: number) => number;
  return {
    parse: (text) => round(Number(text)),
    conform(value) {
      const number = asNumber(type, value);
      const kept = round(number);
      if (!Number.isFinite(kept) && Number.isFinite(number)) throw mismatch(type, value, 'it is too large');
      if (kept === 0 && number !== 0) throw mismatch(type, value, 'it is too small');
      return kept;
    },
    print:
      bits === 32
        ? (value) => floatText(shortestSingle(value as number), 6)
        : (value) => longDouble(value as number) ?? floatText(value as number, 15),
  };
}

function asNumber(type: ColumnType, value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') {
    if (BigInt(Number(value)) !== value)
      throw mismatch(
        type,
        value,
        'a float cannot hold all its digits',
        'Use numeric() or int8(), or convert it with Number() where that is meant.',
      );
    return Number(value);
  }
  if (typeof value === 'string') {
    const special = specials[value.trim().toLowerCase()];
    if (special !== undefined) return special;
    if (/^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(value)) {
      const number = Number(value);
      if (!Number.isFinite(number)) throw mismatch(type, value, 'it is too large');
      if (number === 0 && /[1-9]/.test(value.replace(/e.*/i, ''))) throw mismatch(type, value, 'it is too small');
      return number;
    }
  }
  throw mismatch(type, value, 'it is not a number');
}

const specials: Readonly<Record<string, number>> = {
  nan: Number.NaN,
  infinity: Number.POSITIVE_INFINITY,
  '+infinity': Number.POSITIVE_INFINITY,
  inf: Number.POSITIVE_INFINITY,
  '-infinity': Number.NEGATIVE_INFINITY,
  '-inf': Number.NEGATIVE_INFINITY,
};

/**
 * The double that prints as the fewest digits which read back as this float4, as Postgres finds them: a decimal exactly
 * between two floats does not count, though it would be rounded to the even one.
 */
function shortestSingle(value: number): number {
  if (value === 0 || !Number.isFinite(value)) return value;
  for (let digits = 1; digits < 9; digits++) {
    const text = significant(value, digits);
    if (insideSingle(text, value)) return Number(text);
  }
  return Number(significant(value, 9));
}

/**
 * The same for float8, where JavaScript's own digits may stand exactly between two floats: whole numbers past 2^53 and below
 * 10^40, since others would need more than 17 digits for that. Null elsewhere.
 */
function longDouble(value: number): string | null {
  const size = Math.abs(value);
  if (!(size >= 2 ** 53 && size < 1e40) || insideDouble(value.toExponential(), value)) return null;
  const [mantissa = ''] = value.toExponential().split('e');
  const own = mantissa.replace(/\D/g, '').length;
  for (let digits = own; digits < 17; digits++) {
    const text = significant(value, digits);
    if (insideDouble(text, value)) return text;
  }
  return significant(value, 17);
}

const single = new Float32Array(1);
const singleBits = new Int32Array(single.buffer);

function insideSingle(text: string, value: number): boolean {
  const candidate = Number(text);
  if (Math.fround(candidate) !== value) return false;
  if (candidate === value) return true;
  // The float on the other side of the candidate; the middle between the two is exact as a double.
  single[0] = value;
  singleBits[0]! += Math.abs(candidate) > Math.abs(value) ? 1 : -1;
  return candidate !== (value + single[0]!) / 2;
}

const double = new Float64Array(1);
const doubleBits = new BigInt64Array(double.buffer);

/** For whole numbers past 2^53, in exact arithmetic. */
function insideDouble(text: string, value: number): boolean {
  if (Number(text) !== value) return false;
  const exact = BigInt(value);
  const candidate = wholeDecimal(text);
  if (candidate === exact) return true;
  const away = candidate > exact === value > 0;
  double[0] = value;
  doubleBits[0]! += away ? 1n : -1n;
  return candidate * 2n !== exact + BigInt(double[0]!);
}

/** `1.5e+20` as a bigint. */
function wholeDecimal(text: string): bigint {
  const [mantissa = '', exponent = '0'] = text.split('e');
  const [whole = '', fraction = ''] = mantissa.split('.');
  return BigInt(whole + fraction.padEnd(Number(exponent), '0').slice(0, Math.max(Number(exponent), fraction.length)));
}

/** This many digits, in exponential form, with ties to the even digit as Postgres (Ryu) has them; JavaScript takes the larger one. */
export function significant(value: number, digits: number): string {
  const up = value.toExponential(digits - 1);
  const [exact = ''] = value.toExponential(40).replace(/[-.]/g, '').split('e');
  const isTie = exact[digits] === '5' && /^0*$/.test(exact.slice(digits + 1));
  return isTie && Number(exact[digits - 1]) % 2 === 0 ? truncated(value, digits) : up;
}

function truncated(value: number, digits: number): string {
  const [mantissa = '', exponent] = value.toExponential(40).split('e');
  return `${mantissa.slice(0, digits + 1 + (value < 0 ? 1 : 0))}e${exponent}`;
}

/** JavaScript's shortest digits in the shape Postgres gives them: exponents of two digits, from 10^`most` and below 10^-4. */
function floatText(value: number, most: number): string {
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  const size = Math.abs(value);
  // JavaScript writes all digits from 10^-6 to 10^21, so inside these bounds it agrees.
  if ((size >= 1e-4 && size < 10 ** most) || !Number.isFinite(value)) return String(value);
  const [mantissa = '', exponent = ''] = value.toExponential().split('e');
  const power = Number(exponent);
  return `${mantissa}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
}
