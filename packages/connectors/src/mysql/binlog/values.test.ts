import { expect, test } from 'vitest';
import { decimalReader } from './decimal.ts';
import { type ReadValue, Scratch } from './scratch.ts';
import { dateReader, datetimeReader, readYear, timeReader, timestampReader, writeInterval, writeTimeOfDay } from './temporal.ts';

/** The bytes of a value, as hex, and its text; null for NULL. */
function read(reader: ReadValue, hex: string): string | null {
  const bytes = Buffer.from(`ee${hex}ee`, 'hex');
  const out = new Scratch();
  out.ascii('before');
  expect(reader(bytes, 1, out)).toBe(bytes.length - 1);
  return out.isNull ? null : out.bytes.toString('latin1', 6, out.size);
}

const refuse = (text: string): never => {
  throw new Error(text);
};

test.each([
  // From the manual of strings/decimal.c: 1234567890.1234 as decimal(14,4), and its opposite.
  [14, 4, '810dfb38d204d2', '1234567890.1234'],
  [14, 4, '7ef204c72dfb2d', '-1234567890.1234'],
  [5, 2, '800000', '0.00'],
  [5, 2, '83e763', '999.99'],
  [5, 2, '7c189c', '-999.99'],
  [2, 2, '85', '0.05'],
  [9, 0, '80000007', '7'],
  [10, 0, '8000000007', '7'],
  [20, 0, '800000000000000000', '0'],
])('DECIMAL(%i,%i) of %s is %s', (precision, scale, hex, text) => {
  expect(read(decimalReader(precision, scale), hex)).toBe(text);
});

test('dates are read little-endian: 15 bits of year, 4 of month, 5 of day', () => {
  expect(read(dateReader(refuse), '5dd00f')).toBe('2024-02-29');
});

test('zero dates and days that no month has are handed to the policy, and NULL where it lets them pass', () => {
  const told: string[] = [];
  const note = (text: string): void => void told.push(text);
  const packed = (year: number, month: number, day: number): string => {
    const number = (year << 9) | (month << 5) | day;
    return Buffer.from([number & 255, (number >> 8) & 255, number >> 16]).toString('hex');
  };
  expect(read(dateReader(note), packed(0, 0, 0))).toBeNull();
  expect(read(dateReader(note), packed(2024, 0, 1))).toBeNull();
  expect(read(dateReader(note), packed(2023, 2, 29))).toBeNull();
  expect(read(datetimeReader(0, note), '8000000000')).toBeNull();
  expect(read(timestampReader(0, note), '00000000')).toBeNull();
  expect(told).toEqual(['0000-00-00', '2024-00-01', '2023-02-29', '0000-00-00 00:00:00', '0000-00-00 00:00:00']);
  expect(() => read(dateReader(refuse), packed(0, 0, 0))).toThrow('0000-00-00');
});

/** As TIME_to_longlong_datetime_packed and its like have it: an independent way to the same bytes. */
function datetime(
  year: number,
  month: number,
  day: number,
  hour: number,
  minute: number,
  second: number,
  decimals: number,
  micros: number,
): string {
  const yearMonth = BigInt(year * 13 + month);
  const whole = (((yearMonth << 5n) | BigInt(day)) << 17n) | BigInt((hour << 12) | (minute << 6) | second);
  const bytes = Buffer.alloc(5);
  bytes.writeUIntBE(Number(whole + 0x80_0000_0000n), 0, 5);
  return bytes.toString('hex') + fractionHex(decimals, micros);
}

function fractionHex(decimals: number, micros: number): string {
  const length = (decimals + 1) >> 1;
  return Math.floor(micros / [1, 10_000, 100, 1][length]!)
    .toString(16)
    .padStart(2 * length, '0')
    .slice(0, 2 * length);
}

test.each([
  [datetime(2024, 2, 29, 23, 59, 59, 6, 123_456), 6, '2024-02-29 23:59:59.123456'],
  [datetime(9999, 12, 31, 23, 59, 59, 6, 999_999), 6, '9999-12-31 23:59:59.999999'],
  [datetime(1, 1, 1, 0, 0, 0, 0, 0), 0, '0001-01-01 00:00:00'],
  [datetime(2024, 2, 29, 12, 0, 0, 3, 500_000), 3, '2024-02-29 12:00:00.5'],
  [datetime(2024, 2, 29, 12, 0, 0, 1, 500_000), 1, '2024-02-29 12:00:00.5'],
])('DATETIME %s with %i decimals is %s', (hex, decimals, text) => {
  expect(read(datetimeReader(decimals, refuse), hex)).toBe(text);
});

test.each([
  ['00000001', 0, '1970-01-01 00:00:01+00'],
  ['7fffffff0f423f', 6, '2038-01-19 03:14:07.999999+00'],
  ['65e1a3bf', 0, '2024-03-01 09:45:35+00'],
])('TIMESTAMP %s with %i decimals is %s', (hex, decimals, text) => {
  expect(read(timestampReader(decimals, refuse), hex)).toBe(text);
});

/** TIME_to_longlong_time_packed: the whole number, negated where the time is, above its middle. */
function time(negative: boolean, hour: number, minute: number, second: number, decimals: number, micros: number): string {
  const length = (decimals + 1) >> 1;
  const unit = [1, 10_000, 100, 1][length]!;
  const size = ((hour << 12) | (minute << 6) | second) * 256 ** length + Math.floor(micros / unit);
  const bytes = Buffer.alloc(3 + length);
  bytes.writeUIntBE(0x80_0000 * 256 ** length + (negative ? -size : size), 0, 3 + length);
  return bytes.toString('hex');
}

test.each([
  [time(false, 0, 0, 0, 0, 0), 0, 'PT0S'],
  [time(false, 838, 59, 59, 6, 999_999), 6, 'PT838H59M59.999999S'],
  [time(true, 838, 59, 59, 6, 999_999), 6, 'PT-838H-59M-59.999999S'],
  [time(true, 0, 0, 0, 6, 1), 6, 'PT-0.000001S'],
  [time(true, 1, 0, 0, 0, 0), 0, 'PT-1H'],
  [time(true, 0, 0, 1, 1, 500_000), 2, 'PT-1.5S'],
  [time(false, 24, 0, 0, 3, 250_000), 3, 'PT24H0.25S'],
])('TIME %s with %i decimals is %s', (hex, decimals, text) => {
  expect(read(timeReader(decimals, writeInterval), hex)).toBe(text);
});

test('a time of day is one, or is refused', () => {
  const reader = timeReader(
    6,
    writeTimeOfDay((text) => new Error(text)),
  );
  expect(read(reader, time(false, 23, 59, 59, 6, 120_000))).toBe('23:59:59.12');
  expect(read(reader, time(false, 24, 0, 0, 6, 0))).toBe('24:00:00');
  expect(() => read(reader, time(false, 24, 0, 1, 6, 0))).toThrow('24:00:01');
  expect(() => read(reader, time(true, 0, 0, 1, 6, 0))).toThrow('-00:00:01');
});

test('years count from 1900, but for 0', () => {
  expect([read(readYear, '00'), read(readYear, '01'), read(readYear, 'ff')]).toEqual(['0', '1901', '2155']);
});
