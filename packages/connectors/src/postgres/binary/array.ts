import { type Decode, MillraceError } from '@millrace/core/runtime';
import { int32 } from './field.ts';
import { corrupt } from './scan.ts';

/**
 * Arrays: `int32 dimensions, int32 hasNull, uint32 element type, { int32 size, int32 lower bound }[dimensions]`, then the elements
 * in row-major order, each behind its length. Source: array_send in src/backend/utils/adt/arrayfuncs.c.
 */
export function arrayDecoder(element: Decode): Decode {
  return (b, start, end) => {
    const dimensions = int32(b, start);
    if (dimensions === 0) return [];
    if (dimensions < 0 || dimensions > 6) throw corrupt(`an array has ${dimensions} dimensions`);
    const sizes: number[] = [];
    for (let dimension = 0; dimension < dimensions; dimension++) {
      sizes.push(int32(b, start + 12 + 8 * dimension));
      if (int32(b, start + 16 + 8 * dimension) !== 1) throw shifted();
    }
    let at = start + 12 + 8 * dimensions;
    const level = (dimension: number): unknown[] => {
      const items: unknown[] = [];
      for (let item = 0; item < sizes[dimension]!; item++) {
        if (dimension + 1 < dimensions) {
          items.push(level(dimension + 1));
          continue;
        }
        const length = int32(b, at);
        at += 4;
        if (at + length > end) throw corrupt('an array is longer than its field');
        items.push(length < 0 ? null : element(b, at, at + length));
        if (length > 0) at += length;
      }
      return items;
    };
    return level(0);
  };
}

const shifted = (): MillraceError =>
  new MillraceError('VALUE_UNREPRESENTABLE', {
    message: 'An array does not begin at index 1, which a JavaScript array cannot say.',
    remedy: 'Leave the column untouched by functions, or select it as text or renumbered (array[1:n] := …) at the source.',
  });

/** The bytes of an array whose elements `encode` writes; `values` is a rectangle, as `conform` has seen to. */
export function encodeArray(values: readonly unknown[], oid: number, encode: (value: unknown) => Buffer): Buffer {
  const sizes: number[] = [];
  for (let level: unknown = values; Array.isArray(level); level = level[0]) sizes.push(level.length);
  if (sizes.includes(0)) sizes.length = 0;
  const header = Buffer.alloc(12 + 8 * sizes.length);
  header.writeInt32BE(sizes.length, 0);
  header.writeUInt32BE(oid, 8);
  for (const [dimension, size] of sizes.entries()) {
    header.writeInt32BE(size, 12 + 8 * dimension);
    header.writeInt32BE(1, 16 + 8 * dimension);
  }
  const parts: Buffer[] = [header];
  const level = (items: readonly unknown[]): void => {
    for (const item of items) {
      if (Array.isArray(item)) {
        level(item);
        continue;
      }
      const length = Buffer.allocUnsafe(4);
      if (item === null) {
        header.writeInt32BE(1, 4);
        length.writeInt32BE(-1);
        parts.push(length);
      } else {
        const bytes = encode(item);
        length.writeInt32BE(bytes.length);
        parts.push(length, bytes);
      }
    }
  };
  if (sizes.length > 0) level(values);
  return Buffer.concat(parts);
}
