import { textCodec } from '@millrace/core/runtime';
import { misfit } from './reading.ts';
import type { ReadValue, Scratch } from './scratch.ts';

export function integerReader(bytes: number, isUnsigned: boolean): ReadValue {
  if (bytes === 8)
    return (from, at, out) => {
      const high = isUnsigned ? from.readUInt32LE(at + 4) : from.readInt32LE(at + 4);
      const value = high * 0x1_0000_0000 + from.readUInt32LE(at);
      if (Number.isSafeInteger(value)) out.int(value);
      else out.ascii(String(isUnsigned ? from.readBigUInt64LE(at) : from.readBigInt64LE(at)));
      return at + 8;
    };
  return isUnsigned
    ? (from, at, out) => {
        out.int(from.readUIntLE(at, bytes));
        return at + bytes;
      }
    : (from, at, out) => {
        out.int(from.readIntLE(at, bytes));
        return at + bytes;
      };
}

export function floatReader(kind: 'float4' | 'float8'): ReadValue {
  const { print } = textCodec({ kind });
  return kind === 'float4'
    ? (from, at, out) => {
        out.ascii(print(from.readFloatLE(at)));
        return at + 4;
      }
    : (from, at, out) => {
        out.ascii(print(from.readDoubleLE(at)));
        return at + 8;
      };
}

export const boolReader =
  (column: string): ReadValue =>
  (from, at, out) => {
    const value = from[at]!;
    if (value > 1) throw misfit(column, String(value), 'boolean', 'int2()');
    out.byte(value === 1 ? 116 : 102);
    return at + 1;
  };

export function bitReader(bits: number): ReadValue {
  const bytes = (bits + 7) >> 3;
  return (from, at, out) => {
    for (let bit = bits - 1; bit >= 0; bit--) out.byte(48 + ((from[at + bytes - 1 - (bit >> 3)]! >> (bit & 7)) & 1));
    return at + bytes;
  };
}

export function hex(from: Buffer, start: number, end: number, out: Scratch): void {
  const at = out.room(2 + 2 * (end - start));
  out.bytes[at] = 92;
  out.bytes[at + 1] = 120;
  out.bytes.write(from.toString('hex', start, end), at + 2, 'latin1');
}

export function uuid(from: Buffer, start: number, end: number, out: Scratch): void {
  const digits = from.toString('hex', start, end);
  out.ascii(`${digits.slice(0, 8)}-${digits.slice(8, 12)}-${digits.slice(12, 16)}-${digits.slice(16, 20)}-${digits.slice(20)}`);
}

export function inet4(from: Buffer, start: number, _end: number, out: Scratch): void {
  out.ascii([...from.subarray(start, start + 4)].join('.'));
}

/** As MariaDB prints it: the first of the longest runs of zeros is left out, also a single one; addresses of IPv4 are in their own form. */
export function inet6(from: Buffer, start: number, end: number, out: Scratch): void {
  const groups = Array.from({ length: 8 }, (_, place) => from.readUInt16BE(start + 2 * place));
  const [mapped, next] = [groups[5], groups[6]];
  if (groups.slice(0, 5).every((group) => group === 0) && (mapped === 0xffff || (mapped === 0 && next !== 0))) {
    out.ascii(mapped === 0 ? '::' : '::ffff:');
    return inet4(from, start + 12, end, out);
  }
  let [first, length] = [0, 0];
  for (let place = 0; place < groups.length; place++) {
    let run = 0;
    while (groups[place + run] === 0) run++;
    if (run > length) [first, length] = [place, run];
  }
  const shown = (some: readonly number[]): string => some.map((group) => group.toString(16)).join(':');
  out.ascii(length === 0 ? shown(groups) : `${shown(groups.slice(0, first))}::${shown(groups.slice(first + length))}`);
}
