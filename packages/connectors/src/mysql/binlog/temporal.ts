import { corrupt } from './corrupt.ts';
import type { ReadValue, Scratch } from './scratch.ts';

/** Told of a date that is no day of any calendar (`0000-00-00`, `2024-00-10`), as the source has it. Answers or throws: NULL where it answers. */
export type ZeroDate = (text: string) => void;

const fractionBytes = (decimals: number): number => (decimals + 1) >> 1;
/** What the stored number counts, in microseconds, by its bytes. */
const fractionUnits = [0, 10_000, 100, 1] as const;

const [dash, colon, space, dot] = [45, 58, 32, 46] as const;

function uintBE(from: Buffer, at: number, bytes: number): number {
  let value = 0;
  for (let place = at; place < at + bytes; place++) value = value * 256 + from[place]!;
  return value;
}

/** `.5` for 500000: as Postgres prints it, without zeros at the end. */
function fraction(out: Scratch, microseconds: number): void {
  if (microseconds === 0) return;
  out.byte(dot);
  out.digits(microseconds, 6);
  while (out.bytes[out.size - 1] === 48) out.size--;
}

const daysIn = [0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

function isDay(year: number, month: number, day: number): boolean {
  if (year === 0 || month === 0 || day === 0 || month > 12 || day > daysIn[month]!) return false;
  return month !== 2 || day < 29 || (year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0));
}

function date(out: Scratch, year: number, month: number, day: number): void {
  out.digits(year, 4);
  out.byte(dash);
  out.digits(month, 2);
  out.byte(dash);
  out.digits(day, 2);
}

function clock(out: Scratch, hour: number, minute: number, second: number, microseconds: number): void {
  out.digits(hour, 2);
  out.byte(colon);
  out.digits(minute, 2);
  out.byte(colon);
  out.digits(second, 2);
  fraction(out, microseconds);
}

const two = (value: number): string => String(value).padStart(2, '0');
const shown = (year: number, month: number, day: number): string => `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}`;

/** DATE: 15 bits of year, 4 of month, 5 of day, little-endian. */
export const dateReader =
  (zeroDate: ZeroDate): ReadValue =>
  (from, at, out) => {
    const packed = from[at]! | (from[at + 1]! << 8) | (from[at + 2]! << 16);
    const [year, month, day] = [packed >> 9, (packed >> 5) & 15, packed & 31];
    if (isDay(year, month, day)) date(out, year, month, day);
    else {
      zeroDate(shown(year, month, day));
      out.isNull = true;
    }
    return at + 3;
  };

/** DATETIME(decimals) since 5.6: a sign, 17 bits of year * 13 + month, 5 each of day and hour, 6 each of minute and second, big-endian. */
export function datetimeReader(decimals: number, zeroDate: ZeroDate): ReadValue {
  const extra = fractionBytes(decimals);
  const unit = fractionUnits[extra]!;
  return (from, at, out) => {
    const high = uintBE(from, at, 3) - 0x80_0000;
    const low = uintBE(from, at + 3, 2);
    // 22 bits of date stand above 17 of time, and `high` has 24 of all 40.
    const yearMonth = high >> 6;
    const day = (high >> 1) & 31;
    const time = ((high & 1) << 16) | low;
    const [year, month] = [Math.floor(yearMonth / 13), yearMonth % 13];
    if (isDay(year, month, day)) {
      date(out, year, month, day);
      out.byte(space);
      clock(out, time >> 12, (time >> 6) & 63, time & 63, uintBE(from, at + 5, extra) * unit);
    } else {
      zeroDate(`${shown(year, month, day)} ${two(time >> 12)}:${two((time >> 6) & 63)}:${two(time & 63)}`);
      out.isNull = true;
    }
    return at + 5 + extra;
  };
}

/** DATETIME as it was before 5.6, in tables that have never been rebuilt: YYYYMMDDhhmmss as one number. */
export const oldDatetimeReader =
  (zeroDate: ZeroDate): ReadValue =>
  (from, at, out) => {
    const value = Number(from.readBigUInt64LE(at));
    const [days, time] = [Math.floor(value / 1e6), value % 1e6];
    const [year, month, day] = [Math.floor(days / 1e4), Math.floor(days / 100) % 100, days % 100];
    if (isDay(year, month, day)) {
      date(out, year, month, day);
      out.byte(space);
      clock(out, Math.floor(time / 1e4), Math.floor(time / 100) % 100, time % 100, 0);
    } else {
      zeroDate(shown(year, month, day));
      out.isNull = true;
    }
    return at + 8;
  };

/** TIMESTAMP(decimals): seconds from 1970 in UTC, big-endian, and the fraction; without decimals before 5.6 little-endian. Zero is the zero date. */
export function timestampReader(decimals: number, zeroDate: ZeroDate, isOld = false): ReadValue {
  const extra = fractionBytes(decimals);
  const unit = fractionUnits[extra]!;
  return (from, at, out) => {
    const seconds = isOld ? from.readUInt32LE(at) : from.readUInt32BE(at);
    const microseconds = uintBE(from, at + 4, extra) * unit;
    if (seconds === 0 && microseconds === 0) {
      zeroDate('0000-00-00 00:00:00');
      out.isNull = true;
    } else {
      const days = Math.floor(seconds / 86_400);
      const second = seconds - days * 86_400;
      const on = dayOf(days);
      date(out, on.year, on.month, on.day);
      out.byte(space);
      clock(out, Math.floor(second / 3600), Math.floor(second / 60) % 60, second % 60, microseconds);
      out.ascii('+00');
    }
    return at + 4 + extra;
  };
}

/** The last day asked for: changes come in the order of time, mostly. */
let known = { days: -1, year: 0, month: 0, day: 0 };

function dayOf(days: number): { readonly year: number; readonly month: number; readonly day: number } {
  if (known.days === days) return known;
  const at = new Date(days * 86_400_000);
  known = { days, year: at.getUTCFullYear(), month: at.getUTCMonth() + 1, day: at.getUTCDate() };
  return known;
}

/** A TIME: a length of time of up to 838:59:59.999999, or the time of a day. */
export interface TimeValue {
  readonly isNegative: boolean;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly microseconds: number;
}

/** TIME(decimals) since 5.6: hours, minutes, seconds in 10, 6 and 6 bits, as one signed number with the fraction, big-endian. */
export function timeReader(decimals: number, write: (out: Scratch, time: TimeValue) => void): ReadValue {
  const extra = fractionBytes(decimals);
  const unit = fractionUnits[extra]!;
  const half = 0x80_0000 * 256 ** extra;
  return (from, at, out) => {
    const packed = uintBE(from, at, 3 + extra) - half;
    const size = Math.abs(packed);
    const whole = Math.floor(size / 256 ** extra);
    const microseconds = (size - whole * 256 ** extra) * unit;
    write(out, { isNegative: packed < 0, hour: (whole >> 12) & 1023, minute: (whole >> 6) & 63, second: whole & 63, microseconds });
    return at + 3 + extra;
  };
}

/** TIME as it was before 5.6: hhmmss as one signed number. */
export const oldTimeReader =
  (write: (out: Scratch, time: TimeValue) => void): ReadValue =>
  (from, at, out) => {
    const value = from.readIntLE(at, 3);
    const size = Math.abs(value);
    const [hour, minute, second] = [Math.floor(size / 1e4), Math.floor(size / 100) % 100, size % 100];
    write(out, { isNegative: value < 0, hour, minute, second, microseconds: 0 });
    return at + 3;
  };

/** `PT838H59M59.5S`, `PT-1H-2M`: as Postgres prints an interval under IntervalStyle iso_8601. */
export function writeInterval(out: Scratch, { isNegative, hour, minute, second, microseconds }: TimeValue): void {
  const begin = out.size;
  const part = (value: number, unit: number, more = 0): void => {
    if (value === 0 && more === 0) return;
    if (isNegative) out.byte(dash);
    out.int(value);
    fraction(out, more);
    out.byte(unit);
  };
  out.ascii('PT');
  part(hour, 72);
  part(minute, 77);
  part(second, 83, microseconds);
  if (out.size === begin + 2) out.ascii('0S');
}

/** `23:59:59.5`. @throws what `refuse` makes of a length of time that is no time of a day */
export const writeTimeOfDay =
  (refuse: (text: string) => Error) =>
  (out: Scratch, time: TimeValue): void => {
    const { isNegative, hour, minute, second, microseconds } = time;
    if (isNegative || hour > 24 || (hour === 24 && minute + second + microseconds > 0))
      throw refuse(`${isNegative ? '-' : ''}${two(hour)}:${two(minute)}:${two(second)}`);
    clock(out, hour, minute, second, microseconds);
  };

/** YEAR: years from 1900; 0 is the year 0000. */
export const readYear: ReadValue = (from, at, out) => {
  const value = from[at];
  if (value === undefined) throw corrupt('a row that ends within a year');
  out.int(value === 0 ? 0 : 1900 + value);
  return at + 1;
};
