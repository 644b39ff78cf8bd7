import { type ColumnType, conform, dayNumber } from '@millrace/core/runtime';
import { epochDay, microsOfDay } from './field.ts';
import type { Output } from './output.ts';

/** Writes a value that is not null: its length, then its bytes. @throws TYPE_MISMATCH */
export type Write = (value: unknown, out: Output) => void;

const dayInfinity = 0x7fff_ffff;
const dayMinusInfinity = -0x8000_0000;
const microInfinity = 2n ** 63n - 1n;
const microMinusInfinity = -(2n ** 63n);

/** Dates repeat; a slot for each of eight years (512 codes a year). */
const slots = 4096;

export function dateWriter(type: ColumnType): Write {
  const day = dayReader(type);
  return (value, out) => {
    out.room(8);
    out.int32(4);
    out.int32(day(value));
  };
}

/** Text to days from 2000-01-01. Only a text that is not remembered is looked at closely. */
function dayReader(type: ColumnType): (value: unknown) => number {
  const fitting = conform(type);
  const known = new Int32Array(slots).fill(-1);
  const days = new Int32Array(slots);
  return (value) => {
    const key = typeof value === 'string' && value.length === 10 ? dateKey(value, 0) : -1;
    const slot = key & (slots - 1);
    if (key >= 0 && known[slot] === key) return days[slot]!;
    const day = dayOf(fitting(value) as string);
    if (key >= 0) {
      known[slot] = key;
      days[slot] = day;
    }
    return day;
  };
}

/** A number that is the same only for the same `2024-02-29`; -1 for a text of another shape. */
function dateKey(text: string, at: number): number {
  if (text.charCodeAt(at + 4) !== 45 || text.charCodeAt(at + 7) !== 45) return -1;
  const year = digits(text, at, 4);
  const month = digits(text, at + 5, 2);
  const day = digits(text, at + 8, 2);
  return year < 0 || month < 0 || day < 0 || month > 15 || day > 31 ? -1 : year * 512 + month * 32 + day;
}

function digits(text: string, at: number, count: number): number {
  let value = 0;
  for (let index = at; index < at + count; index++) {
    const digit = text.charCodeAt(index) - 48;
    if (!(digit >= 0 && digit <= 9)) return -1;
    value = value * 10 + digit;
  }
  return value;
}

const anyDate = /^(\d{4,7})-(\d\d)-(\d\d)/;

/** Canonical text to days from 2000-01-01. `BC` stands at the end, behind a time where there is one. */
function dayOf(text: string): number {
  if (text === 'infinity') return dayInfinity;
  if (text === '-infinity') return dayMinusInfinity;
  const [, year, month, day] = anyDate.exec(text) as RegExpExecArray;
  return dayNumber(text.endsWith(' BC') ? 1 - Number(year) : Number(year), Number(month), Number(day)) - epochDay;
}

export function stampWriter(type: Extract<ColumnType, { precision?: number }> & { kind: 'timestamp' | 'timestamptz' }): Write {
  const fitting = conform(type);
  const exactly = type.precision === undefined || type.precision === 6;
  const length = type.kind === 'timestamptz' ? 27 : 26;
  const day = dayReader({ kind: 'date' });
  const quick = (text: string): number => {
    if (text.length !== length || text.charCodeAt(10) !== 84 || (length === 27 && text.charCodeAt(26) !== 90)) return Number.NaN;
    const key = dateKey(text, 0);
    const year = key >> 9;
    if (year < 1715 || year > 2284) return Number.NaN;
    const micros = clockMicros(text, 11);
    return micros < microsOfDay ? day(text.slice(0, 10)) * microsOfDay + micros : Number.NaN;
  };
  return (value, out) => {
    out.room(12);
    out.int32(8);
    let text = value as string;
    let micros = exactly && typeof value === 'string' ? quick(text) : Number.NaN;
    if (Number.isNaN(micros)) {
      text = fitting(value) as string;
      micros = quick(text);
    }
    if (Number.isNaN(micros)) out.bigint64(farMicros(text));
    else out.int64(micros);
  };
}

/** `23:59:59.123456` at `at` in microseconds of the day; NaN for anything else. */
function clockMicros(text: string, at: number): number {
  const hour = digits(text, at, 2);
  const minute = digits(text, at + 3, 2);
  const second = digits(text, at + 6, 2);
  const fraction = digits(text, at + 9, 6);
  const separated = text.charCodeAt(at + 2) === 58 && text.charCodeAt(at + 5) === 58 && text.charCodeAt(at + 8) === 46;
  const ranged = hour >= 0 && hour <= 24 && minute >= 0 && minute < 60 && second >= 0 && second < 60 && fraction >= 0;
  return separated && ranged ? ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction : Number.NaN;
}

const farStamp = /[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?/;

/** Canonical text outside the years that a number can count in microseconds. */
function farMicros(text: string): bigint {
  if (text === 'infinity') return microInfinity;
  if (text === '-infinity') return microMinusInfinity;
  const [, hour, minute, second, fraction = ''] = farStamp.exec(text) as RegExpExecArray;
  const micros = ((Number(hour) * 60 + Number(minute)) * 60 + Number(second)) * 1_000_000 + Number(fraction.padEnd(6, '0'));
  return BigInt(dayOf(text)) * BigInt(microsOfDay) + BigInt(micros);
}

export function timeWriter(type: ColumnType): Write {
  const fitting = conform(type);
  return (value, out) => {
    const text = fitting(value) as string;
    out.room(12);
    out.int32(8);
    out.int64(clockMicros(text, 0));
  };
}

const offset = /([+-])(\d\d):(\d\d)(?::(\d\d))?$/;

export function timetzWriter(type: ColumnType): Write {
  const fitting = conform(type);
  return (value, out) => {
    const text = fitting(value) as string;
    const [, sign, hours, minutes, seconds = '0'] = offset.exec(text) as RegExpExecArray;
    const size = (Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds);
    out.room(16);
    out.int32(12);
    out.int64(clockMicros(text, 0));
    out.int32(sign === '+' ? -size : size);
  };
}
