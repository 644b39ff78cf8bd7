import type { Range } from './decide.ts';

/** Types of columns whose ranges are time. */
export type TimeType = 'date' | 'timestamp without time zone' | 'timestamp with time zone';

export const timeTypes: readonly string[] = [
  'date',
  'timestamp without time zone',
  'timestamp with time zone',
] satisfies readonly TimeType[];

const bounds = /^FOR VALUES FROM \((.*)\) TO \((.*)\)$/;
const printed = /^'(\d{4,})-(\d\d)-(\d\d)(?: (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?(?:\+00)?( BC)?'$/;

/** As `pg_get_expr(relpartbound)` prints it in a session whose time zone is UTC; null for the default partition. */
export function parseBound(text: string): Range | null {
  const match = bounds.exec(text);
  return match ? { from: parseValue(match[1] ?? ''), to: parseValue(match[2] ?? '') } : null;
}

function parseValue(text: string): number {
  if (text === 'MINVALUE' || text === "'-infinity'") return Number.NEGATIVE_INFINITY;
  if (text === 'MAXVALUE' || text === "'infinity'") return Number.POSITIVE_INFINITY;
  const [, year, month, date, hours = 0, minutes = 0, seconds = 0, fraction = '', beforeChrist] = printed.exec(text) ?? [];
  if (year === undefined) throw new RangeError(`The bound ${text} is no time.`);
  if (beforeChrist !== undefined) return Number.NEGATIVE_INFINITY;
  const whole = new Date(0);
  whole.setUTCFullYear(Number(year), Number(month) - 1, Number(date));
  whole.setUTCHours(Number(hours), Number(minutes), Number(seconds));
  const ms = whole.getTime();
  return Number.isNaN(ms) ? Number.POSITIVE_INFINITY : ms + Number(fraction.padEnd(6, '0')) / 1000;
}

/** A bound as SQL. */
export function boundText(ms: number, type: TimeType): string {
  const whole = Math.floor(ms);
  const iso = new Date(whole).toISOString();
  if (type === 'date') return `'${iso.slice(0, 10)}'`;
  const micros = String(Math.round((ms - whole) * 1000)).padStart(3, '0');
  return `'${iso.slice(0, 10)} ${iso.slice(11, 23)}${micros}${type === 'timestamp with time zone' ? '+00' : ''}'`;
}
