import { ascii, civil, dateText } from '@millrace/core/runtime';
import { epochDay, int32, int64, microsOfDay, smallInt64 } from './field.ts';

/** Dates and times are int32 days, or int64 microseconds, from 2000-01-01 (time of day: from midnight). The ends mean infinity. */
const dayInfinity = 0x7fff_ffff;
const dayMinusInfinity = -0x8000_0000;
const microInfinity = 2n ** 63n - 1n;
const microMinusInfinity = -(2n ** 63n);

/** Days repeat: a table has a few thousand different ones. A slot for each of 11 years. */
const slots = 4096;
const days = new Int32Array(slots);
const texts: string[] = new Array(slots).fill('');

/** `2024-02-29`, `0044-03-15 BC`, `infinity`, for days from 2000-01-01. */
export function dayText(day: number): string {
  const slot = day & (slots - 1);
  if (days[slot] === day && texts[slot] !== '') return texts[slot]!;
  const text = day === dayInfinity ? 'infinity' : day === dayMinusInfinity ? '-infinity' : calendarText(day);
  days[slot] = day;
  texts[slot] = text;
  return text;
}

function calendarText(day: number): string {
  const { year, month, day: dayOfMonth } = civil(day + epochDay);
  return year <= 0 ? `${dateText(year, month, dayOfMonth)} BC` : dateText(year, month, dayOfMonth);
}

export const decodeDate = (b: Buffer, start: number): string => dayText(int32(b, start));

const out = Buffer.from('0000-00-00T00:00:00.000000Z+00:00:00');

/** `2024-02-29T23:59:59.123456` with or without `Z`; outside the years 1 to 9999 as Postgres prints it. */
export function stampDecoder(zoned: boolean): (b: Buffer, start: number) => string {
  const length = zoned ? 27 : 26;
  return (b, start) => {
    // What 53 bits hold are the years 1714 to 2285.
    const micros = smallInt64(b, start);
    if (Number.isNaN(micros)) return far(int64(b, start), zoned);
    const day = Math.floor(micros / microsOfDay);
    const date = dayText(day);
    for (let at = 0; at < 10; at++) out[at] = date.charCodeAt(at);
    out[10] = 84;
    writeClock(micros - day * microsOfDay, 11);
    out[26] = 90;
    return out.toString('latin1', 0, length);
  };
}

/** `294276-12-31 23:59:59.9+00`, `0044-03-15 00:00:00 BC`, `infinity`. */
function far(micros: bigint, zoned: boolean): string {
  if (micros === microInfinity) return 'infinity';
  if (micros === microMinusInfinity) return '-infinity';
  const perDay = BigInt(microsOfDay);
  const rest = ((micros % perDay) + perDay) % perDay;
  const day = Number((micros - rest) / perDay);
  const { year, month, day: dayOfMonth } = civil(day + epochDay);
  writeClock(Number(rest), 11);
  const date = dateText(year, month, dayOfMonth);
  if (year >= 1 && year <= 9999) return `${date}T${out.toString('latin1', 11, 26)}${zoned ? 'Z' : ''}`;
  let end = 26;
  while (out[end - 1] === 48 && end > 20) end--;
  if (end === 20) end = 19;
  return `${date} ${out.toString('latin1', 11, end)}${zoned ? '+00' : ''}${year <= 0 ? ' BC' : ''}`;
}

/** `23:59:59.123456` into `out`. */
function writeClock(micros: number, at: number): void {
  const seconds = Math.floor(micros / 1_000_000);
  const fraction = micros - seconds * 1_000_000;
  const minutes = (seconds / 60) | 0;
  const hours = (minutes / 60) | 0;
  twoDigits(hours, at);
  out[at + 2] = 58;
  twoDigits(minutes - hours * 60, at + 3);
  out[at + 5] = 58;
  twoDigits(seconds - minutes * 60, at + 6);
  out[at + 8] = 46;
  const high = (fraction / 10_000) | 0;
  const low = fraction - high * 10_000;
  const middle = (low / 100) | 0;
  twoDigits(high, at + 9);
  twoDigits(middle, at + 11);
  twoDigits(low - middle * 100, at + 13);
}

function twoDigits(value: number, at: number): void {
  const tens = (value / 10) | 0;
  out[at] = 48 + tens;
  out[at + 1] = 48 + value - tens * 10;
}

export function decodeTime(b: Buffer, start: number): string {
  writeClock(smallInt64(b, start), 11);
  return out.toString('latin1', 11, 26);
}

/** The zone is an int32 of seconds west of Greenwich. */
export function decodeTimetz(b: Buffer, start: number): string {
  const time = decodeTime(b, start);
  const east = -int32(b, start + 8);
  const size = Math.abs(east);
  const offset = Buffer.from(east < 0 ? '-00:00' : '+00:00');
  const pair = (value: number, at: number) => {
    offset[at] = 48 + ((value / 10) | 0);
    offset[at + 1] = 48 + (value % 10);
  };
  pair((size / 3600) | 0, 1);
  pair(((size / 60) | 0) % 60, 4);
  const seconds = size % 60;
  return `${time}${ascii(offset, 0, 6)}${seconds === 0 ? '' : `:${seconds < 10 ? '0' : ''}${seconds}`}`;
}
