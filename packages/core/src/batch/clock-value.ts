import type { ColumnType } from '../schema/index.ts';
import { civil, dateText, dayNumber, isDay, two } from './calendar.ts';
import type { TextCodec } from './codec.ts';
import { mismatch } from './mismatch.ts';

/**
 * Dates and times. In JavaScript they are ISO 8601 with six decimals; in Postgres's text the `T` is a space, `Z` is `+00` and
 * trailing zeros are gone. What ISO cannot say (BC, years past 9999, infinity) is Postgres's own text on both sides.
 */
export type ClockType = Extract<ColumnType, { kind: 'time' | 'timetz' | 'timestamp' | 'timestamptz' }>;

/** 4714-11-24 BC, the first day of Postgres; the last ones differ by type. */
const firstDay = dayNumber(-4713, 11, 24);
const lastDateDay = dayNumber(5_874_897, 12, 31);
const lastStampDay = dayNumber(294_276, 12, 31);
const infinite = (text: string): boolean => text === 'infinity' || text === '-infinity';

const plainDate = /^\d{4}-\d\d-\d\d$/;
const anyDate = /^(\d{4,7})-(\d\d)-(\d\d)( BC)?$/;

export function dateCodec(type: ColumnType): TextCodec {
  return {
    parse: (text) => text,
    conform(value) {
      if (typeof value === 'string' && value.length === 10 && isIsoDay(value)) return value;
      const text = asText(type, value).trim();
      const parts = anyDate.exec(text);
      if (!parts) {
        if (infinite(text)) return text;
        const cut = /^\d{4}-\d\d-\d\d[T ]/.test(text) ? 'Cut the time off with .slice(0, 10).' : 'Write it as 2024-02-29.';
        throw mismatch(type, value, 'it is not a date', cut);
      }
      checkedDay(type, value, parts, lastDateDay);
      return plainDate.test(text) ? text : dateText(yearOf(parts), Number(parts[2]), Number(parts[3])) + (parts[4] ?? '');
    },
    print: (value) => value as string,
  };
}

/** `2024-02-29`, at the beginning of the text: the common case, told without taking it apart. */
function isIsoDay(text: string): boolean {
  const year = digits(text, 0, 4);
  return year >= 1 && text.charCodeAt(4) === 45 && text.charCodeAt(7) === 45 && isDay(year, digits(text, 5, 2), digits(text, 8, 2));
}

/** `23:59:59.123456` at position 11. */
function isIsoTime(text: string): boolean {
  const [hour, minute, second] = [digits(text, 11, 2), digits(text, 14, 2), digits(text, 17, 2)];
  const parted = text.charCodeAt(13) === 58 && text.charCodeAt(16) === 58 && text.charCodeAt(19) === 46;
  return parted && hour >= 0 && hour < 24 && minute >= 0 && minute < 60 && second >= 0 && second < 60 && digits(text, 20, 6) >= 0;
}

/** The number that `length` digits at `at` are, or NaN. */
function digits(text: string, at: number, length: number): number {
  let number = 0;
  for (let place = at; place < at + length; place++) {
    const digit = text.charCodeAt(place) - 48;
    if (!(digit >= 0 && digit <= 9)) return Number.NaN;
    number = number * 10 + digit;
  }
  return number;
}

const stamp = /^(\d{4,6})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?\s*(Z|z|[+-]\d\d(?::?\d\d(?::?\d\d)?)?)?)?( BC)?$/;

export function stampCodec(type: ClockType): TextCodec {
  const zoned = type.kind === 'timestamptz';
  const isCanonical = (text: string): boolean =>
    text.length === (zoned ? 27 : 26) &&
    text.charCodeAt(10) === 84 &&
    (!zoned || text.charCodeAt(26) === 90) &&
    isIsoDay(text) &&
    isIsoTime(text);
  const codec: TextCodec = {
    parse(text) {
      // 2024-02-29 23:59:59[.123456][+00]: longer years have their dash further right, BC and infinity end in a letter.
      if (text.charCodeAt(4) !== 45 || text.charCodeAt(text.length - 1) > 57) return text;
      if (zoned && !text.endsWith('+00')) return codec.conform(text);
      const end = zoned ? text.length - 3 : text.length;
      const decimals = end > 20 ? text.slice(20, end).padEnd(6, '0') : '000000';
      return `${text.slice(0, 10)}T${text.slice(11, 19)}.${decimals}${zoned ? 'Z' : ''}`;
    },
    conform(value) {
      if (type.precision === undefined && typeof value === 'string' && isCanonical(value)) return value;
      const text = asText(type, value).trim();
      const parts = stamp.exec(text);
      if (!parts) {
        if (infinite(text)) return text;
        throw mismatch(
          type,
          value,
          `it is not a ${zoned ? 'moment' : 'date and time'}`,
          `Write it as 2024-02-29T23:59:59.123456${zoned ? 'Z' : ''}.`,
        );
      }
      const offset = parts[8];
      if (zoned && offset === undefined) {
        throw mismatch(
          type,
          value,
          'it has no offset from UTC, so it could be any of 38 moments',
          'Write Z or an offset after it, such as +02:00.',
        );
      }
      if (!zoned && offset !== undefined) {
        throw mismatch(type, value, 'it has an offset and the column has none', 'Make the column timestamptz(), or cut the offset off.');
      }
      const day = checkedDay(type, value, parts, lastStampDay);
      const seconds = secondOfDay(type, value, parts[4] ?? '00', parts[5] ?? '00', parts[6] ?? '00', parts[7]);
      const decimals = checkedDecimals(type, value, parts[7], type.precision);
      const moment = day * 86_400 + seconds - (offset === undefined ? 0 : offsetSeconds(type, value, offset));
      const on = civil(Math.floor(moment / 86_400));
      const at = moment - Math.floor(moment / 86_400) * 86_400;
      const date = dateText(on.year, on.month, on.day);
      if (on.year >= 1 && on.year <= 9999) return `${date}T${clock(at)}.${decimals}${zoned ? 'Z' : ''}`;
      return `${date} ${clock(at)}${trimmed(decimals)}${zoned ? '+00' : ''}${on.year <= 0 ? ' BC' : ''}`;
    },
    print(value) {
      const text = value as string;
      if (text.charCodeAt(10) !== 84) return text;
      return `${text.slice(0, 10)} ${text.slice(11, 19)}${trimmed(text.slice(20, 26))}${zoned ? '+00' : ''}`;
    },
  };
  return codec;
}

const time = /^(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?\s*(Z|z|[+-]\d\d(?::?\d\d(?::?\d\d)?)?)?$/;

export function timeCodec(type: ClockType): TextCodec {
  const zoned = type.kind === 'timetz';
  return {
    parse(text) {
      const sign = zoned ? Math.max(text.indexOf('+', 8), text.indexOf('-', 8)) : text.length;
      const decimals = sign > 9 ? text.slice(9, sign).padEnd(6, '0') : '000000';
      const offset = text.slice(sign);
      return `${text.slice(0, 8)}.${decimals}${offset.length === 3 ? `${offset}:00` : offset}`;
    },
    conform(value) {
      const text = asText(type, value).trim();
      const parts = time.exec(text);
      if (!parts) throw mismatch(type, value, 'it is not a time of day', `Write it as 23:59:59.123456${zoned ? '+02:00' : ''}.`);
      const offset = parts[5];
      if (zoned && offset === undefined)
        throw mismatch(type, value, 'it has no offset from UTC', 'Write Z or an offset after it, such as +02:00.');
      if (!zoned && offset !== undefined)
        throw mismatch(type, value, 'it has an offset and the column has none', 'Make the column timetz(), or cut the offset off.');
      const seconds = secondOfDay(type, value, parts[1] as string, parts[2] as string, parts[3] ?? '00', parts[4]);
      const decimals = checkedDecimals(type, value, parts[4], type.precision);
      return `${seconds === 86_400 ? '24:00:00' : clock(seconds)}.${decimals}${offset === undefined ? '' : offsetText(offsetSeconds(type, value, offset))}`;
    },
    print(value) {
      const text = value as string;
      const offset = text.slice(15);
      return `${text.slice(0, 8)}${trimmed(text.slice(9, 15))}${offset.endsWith(':00') ? offset.slice(0, -3) : offset}`;
    },
  };
}

function asText(type: ColumnType, value: unknown): string {
  if (typeof value === 'string') return value;
  if (value instanceof Date) {
    const iso =
      type.kind === 'date'
        ? '.toISOString().slice(0, 10)'
        : type.kind === 'timestamptz'
          ? '.toISOString()'
          : '.toISOString() without what does not belong';
    throw mismatch(type, value, 'a Date holds milliseconds and a hidden time zone', `Pass text instead, for example with ${iso}.`);
  }
  throw mismatch(type, value, 'dates and times are text in ISO 8601');
}

const yearOf = (parts: RegExpExecArray): number => (parts[parts.length - 1] === ' BC' ? 1 - Number(parts[1]) : Number(parts[1]));

function checkedDay(type: ColumnType, value: unknown, parts: RegExpExecArray, last: number): number {
  const year = yearOf(parts);
  const month = Number(parts[2]);
  const day = Number(parts[3]);
  if (Number(parts[1]) === 0 || !isDay(year, month, day)) throw mismatch(type, value, 'there is no such day');
  const number = dayNumber(year, month, day);
  if (number < firstDay || number > last)
    throw mismatch(type, value, 'Postgres has no such day: it begins on 4714-11-24 BC and ends in 294276 (a date in 5874897)');
  return number;
}

function secondOfDay(type: ColumnType, value: unknown, hour: string, minute: string, second: string, fraction: string | undefined): number {
  const [h, m, s] = [Number(hour), Number(minute), Number(second)];
  const midnight = h === 24 && m === 0 && s === 0 && !/[1-9]/.test(fraction ?? '');
  if (!midnight && (h > 23 || m > 59 || s > 59)) throw mismatch(type, value, 'there is no such time of day');
  return h * 3600 + m * 60 + s;
}

/** Six digits. More than the column keeps is an error, unless they are zeros. */
function checkedDecimals(type: ColumnType, value: unknown, fraction: string | undefined, precision = 6): string {
  if (fraction === undefined) return '000000';
  if (fraction.length > precision && /[1-9]/.test(fraction.slice(precision))) {
    throw mismatch(
      type,
      value,
      `it has more than ${precision} decimals of a second`,
      'Cut the decimals off, or make the column more precise.',
    );
  }
  return fraction.slice(0, 6).padEnd(6, '0');
}

function offsetSeconds(type: ColumnType, value: unknown, offset: string): number {
  if (offset === 'Z' || offset === 'z') return 0;
  const digits = offset.replace(/\D/g, '').padEnd(6, '0');
  const [h, m, s] = [Number(digits.slice(0, 2)), Number(digits.slice(2, 4)), Number(digits.slice(4, 6))];
  if (h > 15 || m > 59 || s > 59) throw mismatch(type, value, 'offsets go from -15:59:59 to +15:59:59');
  return (offset.startsWith('-') ? -1 : 1) * (h * 3600 + m * 60 + s);
}

function offsetText(seconds: number): string {
  const [sign, s] = seconds < 0 ? ['-', -seconds] : ['+', seconds];
  const rest = s % 60;
  return `${sign}${two(Math.floor(s / 3600))}:${two(Math.floor(s / 60) % 60)}${rest ? `:${two(rest)}` : ''}`;
}

const clock = (second: number): string => `${two(Math.floor(second / 3600))}:${two(Math.floor(second / 60) % 60)}:${two(second % 60)}`;

/** `.123` for `123000`, nothing for `000000`. */
function trimmed(decimals: string): string {
  let end = 6;
  while (end > 0 && decimals.charCodeAt(end - 1) === 48) end--;
  return end === 0 ? '' : `.${decimals.slice(0, end)}`;
}
