import { inflateRawSync, inflateSync } from 'node:zlib';
import { corrupt } from './corrupt.ts';

/**
 * What stands in an event of MariaDB's log_bin_compress: a byte (bit 7 set, 3 bits of method, 4 of the length's length), the length
 * big-endian, and the bytes as zlib has them. Source: sql/log_event.cc, binlog_buf_uncompress.
 */
export function inflateEvent(bytes: Buffer): Buffer {
  const head = bytes[0] ?? 0;
  const lengthBytes = head & 7;
  if ((head & 0xf0) !== 0x80 || lengthBytes < 1 || lengthBytes > 4 || bytes.length <= lengthBytes)
    throw corrupt(`a compressed event that begins with ${head}`);
  const length = bytes.readUIntBE(1, lengthBytes);
  return inflated(bytes.subarray(1 + lengthBytes), length, inflateSync);
}

/**
 * A value of a COMPRESSED column of MariaDB: a byte (4 bits of method, bit 3 for deflate without its frame, 3 of the length's length), the
 * length big-endian, the bytes. Source: sql/field_comp.cc.
 */
export function inflateValue(bytes: Buffer): Buffer {
  const head = bytes[0];
  if (head === undefined) return bytes;
  const method = head >> 4;
  if (method === 0) return bytes.subarray(1);
  const lengthBytes = head & 7;
  if (method !== 8 || lengthBytes < 1 || lengthBytes > 6 || bytes.length <= lengthBytes)
    throw corrupt(`a compressed value that begins with ${head}`);
  const length = bytes.readUIntBE(1, lengthBytes);
  return inflated(bytes.subarray(1 + lengthBytes), length, (head & 8) !== 0 ? inflateRawSync : inflateSync);
}

function inflated(bytes: Buffer, length: number, how: (bytes: Buffer, options: { maxOutputLength: number }) => Buffer): Buffer {
  let out: Buffer;
  try {
    out = how(bytes, { maxOutputLength: Math.max(1, length) });
  } catch (error) {
    throw corrupt(`compressed bytes that cannot be read (${(error as Error).message})`);
  }
  if (out.length !== length) throw corrupt(`compressed bytes that became ${out.length}, and should be ${length}`);
  return out;
}
