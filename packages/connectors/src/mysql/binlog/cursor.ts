import { corrupt } from './corrupt.ts';

/** Reads numbers and strings of the client protocol, little-endian, within bounds. For what is read now and then: rows have their own loops. */
export class Cursor {
  readonly bytes: Buffer;
  at: number;
  readonly end: number;

  constructor(bytes: Buffer, at: number, end: number) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get left(): number {
    return this.end - this.at;
  }

  /** Moves on by `length` and answers where that began. @throws WIRE_CORRUPT past the end */
  take(length: number): number {
    const { at } = this;
    if (length < 0 || length > this.end - at) throw corrupt(`${length} bytes to be read where ${this.end - at} are left`);
    this.at = at + length;
    return at;
  }

  /** 1 to 6 bytes. */
  uint(length: number): number {
    return this.bytes.readUIntLE(this.take(length), length);
  }

  uint64(): bigint {
    return this.bytes.readBigUInt64LE(this.take(8));
  }

  /** A length-encoded integer: 1, 3, 4 or 9 bytes. */
  packed(): number {
    const first = this.uint(1);
    if (first < 0xfb) return first;
    if (first === 0xfc) return this.uint(2);
    if (first === 0xfd) return this.uint(3);
    if (first === 0xfe) return Number(this.uint64());
    throw corrupt(`a length that begins with ${first}`);
  }

  slice(length: number): Buffer {
    const at = this.take(length);
    return this.bytes.subarray(at, at + length);
  }

  text(length: number): string {
    const at = this.take(length);
    return this.bytes.toString('utf8', at, at + length);
  }

  packedText(): string {
    return this.text(this.packed());
  }
}
