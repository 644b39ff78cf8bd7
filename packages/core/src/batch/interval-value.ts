import type { ColumnType } from '../schema/index.ts';
import type { TextCodec } from './codec.ts';
import { mismatch } from './mismatch.ts';

/** Intervals, in the ISO 8601 that Postgres writes: `P1Y2M3DT4H5M6.7S`, `P-1Y`, `PT0S`. Months, days and time never mix. */
export function intervalCodec(type: ColumnType): TextCodec {
  return {
    parse: (text) => text,
    conform(value) {
      if (typeof value !== 'string') throw mismatch(type, value, 'intervals are text in ISO 8601', 'Write it as P1DT2H30M.');
      const text = value.trim();
      if (text === 'infinity' || text === '-infinity') return text;
      const parts = isoParts(text) ?? verboseParts(text);
      if (!parts) throw mismatch(type, value, 'it is not an interval', 'Write it as P1DT2H30M.');
      if (outside(parts.months, 31n) || outside(parts.days, 31n) || outside(parts.micros, 63n))
        throw mismatch(type, value, 'it is too long');
      return isoText(parts);
    },
    print: (value) => value as string,
  };
}

/** How long an interval is where lengths are compared: months of 30 days, days of 24 hours. Infinite ones are past all others. */
export function intervalMicros(text: string): bigint {
  if (text.endsWith('infinity')) return (text.startsWith('-') ? -1n : 1n) * 2n ** 100n;
  const { months, days, micros } = isoParts(text) ?? { months: 0n, days: 0n, micros: 0n };
  return (months * 30n + days) * 86_400_000_000n + micros;
}

interface IntervalParts {
  readonly months: bigint;
  readonly days: bigint;
  readonly micros: bigint;
}

const outside = (value: bigint, bits: bigint): boolean => value < -(2n ** bits) || value >= 2n ** bits;

const iso =
  /^([+-]?)P(?:([+-]?\d+)Y)?(?:([+-]?\d+)M)?(?:([+-]?\d+)W)?(?:([+-]?\d+)D)?(?:T(?:([+-]?\d+)H)?(?:([+-]?\d+)M)?(?:([+-]?)(\d+)(?:[.,](\d{1,6})0*)?S)?)?$/;

function isoParts(text: string): IntervalParts | null {
  const m = iso.exec(text);
  if (!m || text.endsWith('T') || /^[+-]?P$/.test(text)) return null;
  const whole = (group: number): bigint => BigInt((m[group] ?? '0').replace('+', ''));
  const seconds = micros(m[8], m[9], m[10]);
  const sign = m[1] === '-' ? -1n : 1n;
  return {
    months: sign * (whole(2) * 12n + whole(3)),
    days: sign * (whole(4) * 7n + whole(5)),
    micros: sign * (whole(6) * 3_600_000_000n + whole(7) * 60_000_000n + seconds),
  };
}

const verbose = /^(?:([+-]?\d+) years? ?)?(?:([+-]?\d+) mons? ?)?(?:([+-]?\d+) days? ?)?(?:([+-]?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?$/;

/** What Postgres prints under IntervalStyle postgres: `1 year 2 mons -3 days +04:05:06.7`. */
function verboseParts(text: string): IntervalParts | null {
  const m = verbose.exec(text);
  if (!m || text === '') return null;
  const whole = (group: number): bigint => BigInt((m[group] ?? '0').replace('+', ''));
  const clock = BigInt(m[5] ?? 0) * 3_600_000_000n + BigInt(m[6] ?? 0) * 60_000_000n + micros('', m[7], m[8]);
  return { months: whole(1) * 12n + whole(2), days: whole(3), micros: m[4] === '-' ? -clock : clock };
}

function micros(sign: string | undefined, seconds: string | undefined, fraction: string | undefined): bigint {
  const value = BigInt(seconds ?? 0) * 1_000_000n + BigInt((fraction ?? '').padEnd(6, '0'));
  return sign === '-' ? -value : value;
}

function isoText({ months, days, micros }: IntervalParts): string {
  const field = (value: bigint, unit: string): string => (value === 0n ? '' : `${value}${unit}`);
  const date = field(months / 12n, 'Y') + field(months % 12n, 'M') + field(days, 'D');
  const clock = field(micros / 3_600_000_000n, 'H') + field((micros / 60_000_000n) % 60n, 'M') + secondsText(micros % 60_000_000n);
  return date === '' && clock === '' ? 'PT0S' : `P${date}${clock === '' ? '' : `T${clock}`}`;
}

function secondsText(micros: bigint): string {
  if (micros === 0n) return '';
  const size = micros < 0n ? -micros : micros;
  const fraction = String(size % 1_000_000n)
    .padStart(6, '0')
    .replace(/0+$/, '');
  return `${micros < 0n ? '-' : ''}${size / 1_000_000n}${fraction === '' ? '' : `.${fraction}`}S`;
}
