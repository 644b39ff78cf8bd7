import {
  baseType,
  type ColumnType,
  comparer,
  conform,
  MillraceError,
  type ReadRequest,
  typeName,
  type Window,
} from '@millrace/core/runtime';

/** How an API is told of a window. What it answers beyond the window is left out here, so it may be wider. */
export interface SinceOptions {
  /** The parameter for the beginning: `'updated_since'`. */
  readonly param: string;
  /** The parameter for the end, where there is one. */
  readonly until?: string;
  /** `iso` (default): `2026-03-29T00:00:00Z`. `date`: `2026-03-29`. Else counted since 1970. */
  readonly format?: 'iso' | 'date' | 'seconds' | 'milliseconds';
}

/**
 * The window of an incremental read: `high` is now less the lag, on this machine's clock, fixed before anything is read. Rows at or past it are left for the
 * next window. It is a whole second, for many APIs keep no more of a time: what changes later in a second would be told to have changed before. A date's
 * window ends with yesterday. What the API makes visible later than it says, and a clock of its own that is slow, is what the lag is for.
 *
 * @throws UNSUPPORTED for a column that is no time
 */
export function fixWindow(type: ColumnType, since: NonNullable<ReadRequest['since']>, now: Date): Window {
  const { column, low, lagMs } = since;
  const { kind } = baseType(type);
  if (kind !== 'timestamptz' && kind !== 'timestamp' && kind !== 'date') {
    throw new MillraceError('UNSUPPORTED', {
      message: `"${column}" is ${typeName(type)}: where a window over it ends cannot be known before it is read.`,
      remedy: 'Read since a timestamptz, a timestamp (in UTC) or a date, or read everything and load with mode merge.',
      facts: { column, type: typeName(type) },
    });
  }
  const iso = new Date(Math.floor((now.getTime() - lagMs) / 1000) * 1000).toISOString();
  const high = String(conform(type)(kind === 'timestamptz' ? iso : kind === 'timestamp' ? iso.slice(0, -1) : iso.slice(0, 10)));
  return { column, low, high: low !== null && order(type)(high, low) < 0 ? low : high };
}

/** Whether a value lies in it. */
export function inWindow(type: ColumnType, { low, high }: Window): (value: unknown) => boolean {
  const compare = order(type);
  return (value) => compare(value, high) < 0 && (low === null || compare(value, low) >= 0);
}

const order = (type: ColumnType) => comparer(type) as (a: unknown, b: unknown) => number;

const dayMs = 86_400_000;

/**
 * The window as parameters, a second or a day wider on both sides: APIs differ in whether they count the bounds themselves, and drop what they do
 * not keep of a time.
 */
export function sinceParameters({ param, until, format = 'iso' }: SinceOptions, { low, high }: Window): Record<string, string> {
  const unit = format === 'date' ? dayMs : 1000;
  const at = (text: string): number => Date.parse(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text.replace(/Z?$/, 'Z'));
  const parameters: Record<string, string> = {};
  if (low !== null && !Number.isNaN(at(low))) parameters[param] = written(Math.floor(at(low) / unit) * unit - unit, format);
  if (until !== undefined && !Number.isNaN(at(high))) parameters[until] = written(Math.ceil(at(high) / unit) * unit + unit, format);
  return parameters;
}

function written(ms: number, format: NonNullable<SinceOptions['format']>): string {
  const iso = new Date(ms).toISOString();
  switch (format) {
    case 'iso':
      return iso.replace('.000Z', 'Z');
    case 'date':
      return iso.slice(0, 10);
    case 'seconds':
      return String(Math.floor(ms / 1000));
    case 'milliseconds':
      return String(ms);
    default:
      return format satisfies never;
  }
}
