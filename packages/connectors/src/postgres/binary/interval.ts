import { int32, int64 } from './field.ts';

/** int64 microseconds, int32 days, int32 months. All three at an end mean infinity (Postgres 17). */
export function decodeInterval(b: Buffer, start: number): string {
  const micros = int64(b, start);
  const days = int32(b, start + 8);
  const months = int32(b, start + 12);
  if (days === 0x7fff_ffff && months === 0x7fff_ffff && micros === 2n ** 63n - 1n) return 'infinity';
  if (days === -0x8000_0000 && months === -0x8000_0000 && micros === -(2n ** 63n)) return '-infinity';
  const field = (value: number | bigint, unit: string): string => (value === 0 || value === 0n ? '' : `${value}${unit}`);
  const date = field(Math.trunc(months / 12), 'Y') + field(months % 12, 'M') + field(days, 'D');
  const clock = field(micros / 3_600_000_000n, 'H') + field((micros / 60_000_000n) % 60n, 'M') + seconds(micros % 60_000_000n);
  return date === '' && clock === '' ? 'PT0S' : `P${date}${clock === '' ? '' : `T${clock}`}`;
}

function seconds(micros: bigint): string {
  if (micros === 0n) return '';
  const size = micros < 0n ? -micros : micros;
  const fraction = String(size % 1_000_000n)
    .padStart(6, '0')
    .replace(/0+$/, '');
  return `${micros < 0n ? '-' : ''}${size / 1_000_000n}${fraction === '' ? '' : `.${fraction}`}S`;
}

const canonical = /^P(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)D)?(?:T(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?)(\d+)(?:\.(\d+))?S)?)?$/;

/** The bytes of canonical text, as `conform` makes it. */
export function encodeInterval(text: string): Buffer {
  const out = Buffer.allocUnsafe(16);
  const parts = canonical.exec(text);
  if (!parts) {
    const minus = text.startsWith('-');
    out.writeBigInt64BE(minus ? -(2n ** 63n) : 2n ** 63n - 1n, 0);
    out.writeInt32BE(minus ? -0x8000_0000 : 0x7fff_ffff, 8);
    out.writeInt32BE(minus ? -0x8000_0000 : 0x7fff_ffff, 12);
    return out;
  }
  const whole = (group: number): bigint => BigInt(parts[group] ?? 0);
  const fraction = whole(7) * 1_000_000n + BigInt((parts[8] ?? '').padEnd(6, '0'));
  out.writeBigInt64BE(whole(4) * 3_600_000_000n + whole(5) * 60_000_000n + (parts[6] === '-' ? -fraction : fraction), 0);
  out.writeInt32BE(Number(whole(3)), 8);
  out.writeInt32BE(Number(whole(1) * 12n + whole(2)), 12);
  return out;
}
