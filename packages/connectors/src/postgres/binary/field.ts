/** Big-endian numbers, as Postgres writes them. Plain indexing: faster than the methods of Buffer, which check their arguments. */
export const int16 = (b: Buffer, at: number): number => ((b[at]! << 24) | (b[at + 1]! << 16)) >> 16;
export const uint16 = (b: Buffer, at: number): number => (b[at]! << 8) | b[at + 1]!;
export const int32 = (b: Buffer, at: number): number => (b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!;

/** Above this the high half of an int64 makes it too large for the 53 bits of a number. */
const exact = 2 ** 21;

/** An int64 as a number where it is exact, else NaN. */
export function smallInt64(b: Buffer, at: number): number {
  const high = int32(b, at);
  return high < exact && high >= -exact ? high * 4_294_967_296 + (int32(b, at + 4) >>> 0) : Number.NaN;
}

export function int64(b: Buffer, at: number): bigint {
  const small = smallInt64(b, at);
  return Number.isNaN(small) ? (BigInt(int32(b, at)) << 32n) | BigInt(int32(b, at + 4) >>> 0) : BigInt(small);
}

/** Midnight of 2000-01-01, from which Postgres counts, in days from 1970-01-01. */
export const epochDay = 10_957;
export const microsOfDay = 86_400_000_000;
