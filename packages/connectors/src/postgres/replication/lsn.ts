import { MillraceError } from '@millrace/core/runtime';

/*
 * A log sequence number: a byte position in the write-ahead log, 64 bits. Postgres writes it as two hexadecimal halves without leading
 * zeros, `16/B374D848`, which does not sort as text; `lsnKey` does.
 */

const largest = 0xffff_ffff_ffff_ffffn;

/** @throws WIRE_CORRUPT for what Postgres would not write */
export function parseLsn(text: string): bigint {
  const halves = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text);
  if (!halves) throw notAnLsn(text);
  return (BigInt(`0x${halves[1]}`) << 32n) | BigInt(`0x${halves[2]}`);
}

export function formatLsn(lsn: bigint): string {
  return `${upper(lsn >> 32n)}/${upper(lsn & 0xffff_ffffn)}`;
}

/** 16 hexadecimal digits, whose text order is the order in the log. */
export function lsnKey(lsn: bigint): string {
  if (lsn < 0n || lsn > largest) throw notAnLsn(String(lsn));
  return upper(lsn).padStart(16, '0');
}

/** @throws WIRE_CORRUPT */
export function lsnOfKey(key: string): bigint {
  if (!/^[0-9A-F]{16}$/.test(key)) throw notAnLsn(key);
  return BigInt(`0x${key}`);
}

const upper = (half: bigint): string => half.toString(16).toUpperCase();

const notAnLsn = (text: string): MillraceError =>
  new MillraceError('WIRE_CORRUPT', {
    message: `${JSON.stringify(text.slice(0, 100))} is no position in the log of Postgres.`,
    remedy: 'Please report it, with the version of the server.',
  });
