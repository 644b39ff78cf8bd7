import { civil, dateText, dayNumber } from '@millrace/core/runtime';

const microsOfDay = 86_400_000_000n;
const epoch = dayNumber(2000, 1, 1);

/**
 * A timestamp or time in its JavaScript form or with more decimals, rounded to `precision` as Postgres does it: half away
 * from the beginning of 2000. What stands in Postgres's own form (BC, past 9999, infinity) is handled alike.
 */
export function roundClock(text: string, precision: number): string {
  const match = /^(?:(\d+)-(\d\d)-(\d\d)[T ])?(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(.*)$/.exec(text);
  if (!match) return text;
  const [, year, month, day, hour, minute, second, fraction = '', rest = ''] = match;
  if (fraction.length <= precision) return text;
  const bc = rest.endsWith(' BC');
  const days = year === undefined ? 0 : dayNumber(bc ? 1 - Number(year) : Number(year), Number(month), Number(day)) - epoch;
  // Counted in the last decimal that is written, and in microseconds once it is rounded.
  const decimals = Math.max(fraction.length, 6);
  const perSecond = 10n ** BigInt(decimals);
  const seconds = BigInt(days) * 86_400n + BigInt(Number(hour) * 3600 + Number(minute) * 60 + Number(second));
  const exact = seconds * perSecond + BigInt(fraction.padEnd(decimals, '0'));
  const micros = rounded(exact, 10n ** BigInt(decimals - precision)) / 10n ** BigInt(decimals - 6);
  if (year === undefined) return `${clockText(micros)}${rest}`;
  const on = floorDiv(micros, microsOfDay);
  const date = civil(Number(on) + epoch);
  const zone = rest.replace(' BC', '');
  const time = clockText(micros - on * microsOfDay);
  const shown = dateText(date.year, date.month, date.day);
  if (date.year >= 1 && date.year <= 9999) return `${shown}T${time}${zone === '' ? '' : 'Z'}`;
  return `${shown} ${time.replace(/\.?0*$/, '')}${zone === '' ? '' : '+00'}${date.year <= 0 ? ' BC' : ''}`;
}

function rounded(value: bigint, unit: bigint): bigint {
  const half = unit / 2n;
  return value >= 0n ? ((value + half) / unit) * unit : -(((-value + half) / unit) * unit);
}

const floorDiv = (value: bigint, by: bigint): bigint => (value >= 0n ? value / by : -((-value + by - 1n) / by));

function clockText(micros: bigint): string {
  const seconds = Number(micros / 1_000_000n);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}.${String(micros % 1_000_000n).padStart(6, '0')}`;
}

/** Day of a timestamp, `'0044-03-15 BC'` for one before our era. */
export function dayOf(stamp: string): string {
  if (stamp.charCodeAt(10) === 84) return stamp.slice(0, 10);
  const match = /^(\d+-\d\d-\d\d) .*?( BC)?$/.exec(stamp);
  return match ? match[1]! + (match[2] ?? '') : stamp;
}

/** Adds or takes away the zone of a timestamp, which is UTC. */
export function withZone(stamp: string, zoned: boolean): string {
  if (stamp.endsWith('infinity')) return stamp;
  if (stamp.charCodeAt(10) === 84) return zoned ? `${stamp}Z` : stamp.slice(0, -1);
  return zoned ? stamp.replace(/( BC)?$/, '+00$1') : stamp.replace('+00', '');
}
