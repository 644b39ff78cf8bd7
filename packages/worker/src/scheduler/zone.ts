/*
 * Wall time and instants. A wall time is written as the milliseconds that it would be in UTC, so that it can be counted with.
 */

const clocks = new Map<string, Intl.DateTimeFormat>();

function clockOf(timeZone: string): Intl.DateTimeFormat {
  const known = clocks.get(timeZone);
  if (known) return known;
  const numeric = 'numeric' as const;
  const clock = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: numeric,
    month: numeric,
    day: numeric,
    hour: numeric,
    minute: numeric,
    second: numeric,
  });
  clocks.set(timeZone, clock);
  return clock;
}

/** What the clock on the wall shows at an instant, less the instant: milliseconds. */
export function offsetAt(timeZone: string, instant: number): number {
  if (timeZone === 'UTC') return 0;
  const shown: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {};
  for (const { type, value } of clockOf(timeZone).formatToParts(instant)) shown[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = shown;
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(instant / 1000) * 1000;
}

/** No clock is farther than this from UTC, and none changes twice within it. */
const farthest = 15 * 3_600_000;

export type Meaning =
  /** Both where the clock was put back over it, the earlier one first. */
  | { readonly kind: 'instants'; readonly at: readonly number[] }
  /** The clock was put forward over it; `next` is the first instant after. */
  | { readonly kind: 'gap'; readonly next: number };

/** The instants at which the clock on the wall shows a time. */
export function instantsOf(timeZone: string, wall: number): Meaning {
  const before = offsetAt(timeZone, wall - farthest);
  const after = offsetAt(timeZone, wall + farthest);
  // The offset before a change is the one of the earlier instant.
  const at = [...new Set([before, after])]
    .map((offset) => wall - offset)
    .filter((instant) => instant + offsetAt(timeZone, instant) === wall);
  if (at.length > 0) return { kind: 'instants', at: at.sort((a, b) => a - b) };
  let low = wall - farthest;
  let high = wall + farthest;
  while (high - low > 1000) {
    const middle = Math.floor((low + high) / 2000) * 1000;
    if (offsetAt(timeZone, middle) === before) low = middle;
    else high = middle;
  }
  return { kind: 'gap', next: high };
}

/** The offset that holds for a whole day and around it; undefined where the clock changes then. */
export function steadyOffset(timeZone: string, day: number): number | undefined {
  const before = offsetAt(timeZone, day - farthest);
  return before === offsetAt(timeZone, day + 86_400_000 + farthest) ? before : undefined;
}
