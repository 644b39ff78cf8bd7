import { minus, type ReadValue, zero } from './scratch.ts';

/** Bytes of a group of that many digits; nine digits have four bytes. Source: strings/decimal.c, `dig2bytes`. */
const bytesOfDigits = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4] as const;

export function decimalBytes(precision: number, scale: number): number {
  const whole = precision - scale;
  return groupBytes(whole) + groupBytes(scale);
}

const groupBytes = (digits: number): number => Math.floor(digits / 9) * 4 + bytesOfDigits[digits % 9]!;

/**
 * DECIMAL(precision, scale): groups of nine digits, big-endian, the odd ones at both ends; the first bit is turned, and so is every bit of a
 * negative number. All decimals are written, zeros before the point are not.
 */
export function decimalReader(precision: number, scale: number): ReadValue {
  const whole = precision - scale;
  const size = decimalBytes(precision, scale);
  const groups: { readonly bytes: number; readonly digits: number }[] = [];
  const add = (digits: number): void => void (digits > 0 && groups.push({ bytes: bytesOfDigits[digits]!, digits }));
  add(whole % 9);
  for (let left = whole - (whole % 9); left > 0; left -= 9) add(9);
  for (let left = scale - (scale % 9); left > 0; left -= 9) add(9);
  add(scale % 9);
  return (from, at, out) => {
    const isNegative = (from[at]! & 0x80) === 0;
    const mask = isNegative ? 0xff : 0;
    const begin = out.size;
    let place = at;
    let seen = 0;
    let isZero = true;
    if (isNegative) out.byte(minus);
    let first = out.size;
    if (whole === 0) out.byte(zero);
    for (const { bytes, digits } of groups) {
      let value = 0;
      for (let end = place + bytes; place < end; place++)
        value = value * 256 + ((place === at ? from[place]! ^ 0x80 : from[place]!) ^ mask);
      if (seen === whole) out.byte(46);
      if (value !== 0) isZero = false;
      out.digits(value, digits);
      seen += digits;
    }
    // Zeros before the first digit that counts, but for one before the point.
    const point = scale === 0 ? out.size : out.size - scale - 1;
    let kept = first;
    while (kept < point - 1 && out.bytes[kept] === zero) kept++;
    if (isZero && isNegative) first = begin;
    if (kept > first) {
      out.bytes.copyWithin(first, kept, out.size);
      out.size -= kept - first;
    }
    return at + size;
  };
}
