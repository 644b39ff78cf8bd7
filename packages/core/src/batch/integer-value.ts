import type { ColumnType } from '../schema/index.ts';
import type { TextCodec } from './codec.ts';
import { mismatch } from './mismatch.ts';

const digits = /^[+-]?\d+$/;

/** int2 and int4: numbers. */
export function integerCodec(type: ColumnType, bits: 16 | 32): TextCodec {
  const limit = 2 ** (bits - 1);
  return {
    parse: Number,
    conform(value) {
      const number = typeof value === 'number' ? value : Number(wholeNumber(type, value));
      if (!Number.isInteger(number))
        throw mismatch(type, value, 'it is not a whole number', 'Round it yourself, for example with Math.round().');
      if (number < -limit || number >= limit) throw mismatch(type, value, `it is outside ${-limit} to ${limit - 1}`);
      return number === 0 ? 0 : number;
    },
    print: String,
  };
}

const least = -(2n ** 63n);
const most = 2n ** 63n - 1n;

/** int8: bigints. A number is taken where it is whole and below 2^53. */
export function bigintCodec(type: ColumnType): TextCodec {
  return {
    parse: BigInt,
    conform(value) {
      const number = typeof value === 'bigint' ? value : wholeNumber(type, value);
      if (number < least || number > most) throw mismatch(type, value, `it is outside ${least} to ${most}`);
      return number;
    },
    print: String,
  };
}

function wholeNumber(type: ColumnType, value: unknown): bigint {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'string' && digits.test(value.trim())) return BigInt(value.trim().replace(/^\+/, ''));
  if (typeof value === 'number') {
    if (!Number.isInteger(value))
      throw mismatch(type, value, 'it is not a whole number', 'Round it yourself, for example with BigInt(Math.round(x)).');
    if (!Number.isSafeInteger(value))
      throw mismatch(type, value, 'a number above 2^53 has lost digits', 'Pass a bigint, such as 9007199254740993n.');
    return BigInt(value);
  }
  throw mismatch(type, value, 'it is not a whole number');
}
