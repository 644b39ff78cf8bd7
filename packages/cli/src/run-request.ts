import { MillraceError } from '@millrace/core/runtime';

/** What `--date` and `--window` mean: days are days in the time zone of the schedule. */

/** `2026-03-29` is its first instant in the time zone; anything with a time is an ISO 8601 instant. @throws CONFIG_INVALID */
export function instantOf(text: string, timeZone: string, option: string): string {
  if (/^\d{4}-\d\d-\d\d$/.test(text)) {
    const start = startOfDay(text, timeZone);
    if (start !== null) return start;
  } else if (/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text))) {
    return new Date(text).toISOString();
  }
  throw new MillraceError('CONFIG_INVALID', {
    message: `${option}: "${text}" is neither a day nor an instant.`,
    remedy: 'Write 2026-03-29, or 2026-03-29T02:00:00Z with its offset.',
  });
}

export function windowOf(text: string, timeZone: string, option = '--window'): { start: string; end: string } {
  const parts = text.split('..');
  if (parts.length !== 2)
    throw new MillraceError('CONFIG_INVALID', {
      message: `${option}: "${text}" is not a range.`,
      remedy: 'Write it as 2026-03-01..2026-03-08; the end is not part of it.',
    });
  const [start = '', end = ''] = parts.map((part) => instantOf(part, timeZone, option));
  if (start >= end)
    throw new MillraceError('CONFIG_INVALID', {
      message: `${option}: ${parts[0]} is not before ${parts[1]}.`,
      remedy: 'The start comes first; the end is not part of the window.',
    });
  return { start, end };
}

/** Where a day begins with a change of the clock, its first instant is not 00:00; null for a day that no calendar has. */
function startOfDay(day: string, timeZone: string): string | null {
  const midnight = Date.parse(`${day}T00:00:00Z`);
  if (Number.isNaN(midnight) || new Date(midnight).toISOString().slice(0, 10) !== day) return null;
  const dayOf = new Intl.DateTimeFormat('en-CA', { timeZone, year: 'numeric', month: '2-digit', day: '2-digit' });
  // No zone is farther than 14 hours from UTC, and offsets are whole quarters of an hour (older ones whole minutes).
  let before = midnight - 15 * hour;
  let inside = midnight + 15 * hour;
  while (inside - before > 1000) {
    const middle = Math.floor((before + inside) / 2000) * 1000;
    if (dayOf.format(middle) < day) before = middle;
    else inside = middle;
  }
  return new Date(inside).toISOString();
}

const hour = 3_600_000;
