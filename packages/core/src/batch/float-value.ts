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
    print: bits === 32 ? (value) => floatText(shortestSingle(value as number), 6) : (value) => floatText(value as number, 15),
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

/** The double that prints as the fewest digits which still read back as this float4. */
function shortestSingle(value: number): number {
  if (!Number.isFinite(value)) return value;
  for (let digits = 1; digits < 9; digits++) {
    const candidate = Number(rounded(value, digits));
    if (Math.fround(candidate) === value) return candidate;
  }
  return Number(rounded(value, 9));
}

/** `toPrecision` with ties to the even digit, as Postgres (Ryu) has them; JavaScript takes the larger one. */
function rounded(value: number, digits: number): string {
  const up = value.toPrecision(digits);
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
