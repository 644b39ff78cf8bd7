import { createHash } from 'node:crypto';

/** The checksums of S3's `x-amz-checksum-*` headers, base64 of the big-endian value, and `content-md5`. */
export function checksum(algorithm: string, body: Uint8Array): string | undefined {
  switch (algorithm) {
    case 'md5':
    case 'sha1':
    case 'sha256':
      return createHash(algorithm).update(body).digest('base64');
    case 'crc32':
      return crc32(crc32Table, body);
    case 'crc32c':
      return crc32(crc32cTable, body);
    case 'crc64nvme':
      return crc64nvme(body);
    default:
      return undefined;
  }
}

/** The reflected polynomials of ISO-HDLC and Castagnoli. */
const crc32Table = table32(0xedb88320);
const crc32cTable = table32(0x82f63b78);

function table32(polynomial: number): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
    return value;
  });
}

function crc32(table: Uint32Array, body: Uint8Array): string {
  let value = 0xffffffff;
  for (const byte of body) value = (value >>> 8) ^ table[(value ^ byte) & 0xff]!;
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(~value >>> 0);
  return bytes.toString('base64');
}

/** NVMe's CRC-64, reflected polynomial 0x9a6c9329ac4bc9b5, in two halves because BigInt takes a second for ten megabytes. */
const [highTable, lowTable] = table64(0x9a6c9329ac4bc9b5n);

function table64(polynomial: bigint): [Uint32Array, Uint32Array] {
  const values = Array.from({ length: 256 }, (_, byte) => {
    let value = BigInt(byte);
    for (let bit = 0; bit < 8; bit++) value = value & 1n ? (value >> 1n) ^ polynomial : value >> 1n;
    return value;
  });
  return [Uint32Array.from(values, (value) => Number(value >> 32n)), Uint32Array.from(values, (value) => Number(value & 0xffffffffn))];
}

function crc64nvme(body: Uint8Array): string {
  let high = 0xffffffff;
  let low = 0xffffffff;
  for (const byte of body) {
    const index = (low ^ byte) & 0xff;
    low = (((low >>> 8) | (high << 24)) ^ lowTable[index]!) >>> 0;
    high = ((high >>> 8) ^ highTable[index]!) >>> 0;
  }
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32BE(~high >>> 0, 0);
  bytes.writeUInt32BE(~low >>> 0, 4);
  return bytes.toString('base64');
}
