import type { PartitionPeriod } from '@millrace/core/runtime';

/*
 * Periods are counted on the clock of a wall, in milliseconds as if that clock showed UTC; only then are they put on the line of time. So
 * a day is a day however many hours it has, and two neighbours share their bound.
 */

/** Milliseconds, as a clock on the wall shows them. */
export type Wall = number;

const hour = 3_600_000;
const day = 24 * hour;

/** The beginning of the period that holds the time. */
export function startOf(by: PartitionPeriod, wall: Wall): Wall {
  switch (by) {
    case 'hour':
      return Math.floor(wall / hour) * hour;
    case 'day':
      return Math.floor(wall / day) * day;
    case 'week':
      return Math.floor((wall + 3 * day) / (7 * day)) * 7 * day - 3 * day; // the first of January 1970 was a Thursday
    case 'month': {
      const at = new Date(wall);
      return Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), 1);
    }
    default:
      return by satisfies never;
  }
}

/** The beginning of the period `count` after this one. */
export function plus(by: PartitionPeriod, start: Wall, count: number): Wall {
  if (by !== 'month') return start + count * { hour, day, week: 7 * day }[by];
  const at = new Date(start);
  return Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + count, 1);
}

/** What tells the periods of a table apart in the names of its partitions: `d20260329`, `w20260330`, `m202603`, `h2026032914`. */
export function suffixOf(by: PartitionPeriod, start: Wall): string {
  const digits = new Date(start).toISOString().replace(/\D/g, '');
  return `${by[0]}${digits.slice(0, { hour: 10, day: 8, week: 8, month: 6 }[by])}`;
}

/** What the clock of the time zone shows. */
export function wallAt(timeZone: string, instant: number): Wall {
  if (timeZone === 'UTC') return instant;
  const shown: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {};
  for (const { type, value } of clockOf(timeZone).formatToParts(instant)) shown[type] = Number(value);
  const { year = 0, month = 1, day: date = 1, hour: hours = 0, minute = 0, second = 0 } = shown;
  return Date.UTC(year, month - 1, date, hours, minute, second) + (((instant % 1000) + 1000) % 1000);
}

/** The first instant at which the clock shows this time, or a later one where it leaves it out. */
export function instantOf(timeZone: string, wall: Wall): number {
  if (timeZone === 'UTC') return wall;
  // No zone is further than 26 hours from UTC, and none changes its clock twice in so short a time.
  const [early, late] = [wall - 26 * hour, wall + 26 * hour];
  const candidates = [early, late].map((near) => wall - (wallAt(timeZone, near) - near));
  const shows = candidates.filter((at) => wallAt(timeZone, at) === wall);
  if (shows.length > 0) return Math.min(...shows);
  let [before, after] = [early, late];
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    if (wallAt(timeZone, middle) >= wall) after = middle;
    else before = middle;
  }
  return after;
}

const clocks = new Map<string, Intl.DateTimeFormat>();

function clockOf(timeZone: string): Intl.DateTimeFormat {
  const known = clocks.get(timeZone);
  if (known) return known;
  const clock = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  clocks.set(timeZone, clock);
  return clock;
}
