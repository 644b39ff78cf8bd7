import { MillraceError } from '../error/index.ts';

/** What one expression asks for, field by field: the numbers that fit. */
export interface CronFields {
  readonly minutes: ReadonlySet<number>;
  readonly hours: ReadonlySet<number>;
  readonly days: ReadonlySet<number>;
  /** `L`: also the last day of the month, whichever it is. */
  readonly lastDay: boolean;
  readonly months: ReadonlySet<number>;
  /** 0 is Sunday. */
  readonly weekdays: ReadonlySet<number>;
  /** As cron has it: where day and weekday are both given, either of them is enough. */
  readonly eitherDay: boolean;
  /** The hour is `*` or a step of it: the expression follows the time that passes, not the clock on the wall. */
  readonly everyHour: boolean;
}

interface Field {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  readonly names: readonly string[];
}

const monthNames = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
export const weekdayNames = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

const fields = [
  { name: 'minute', from: 0, to: 59, names: [] },
  { name: 'hour', from: 0, to: 23, names: [] },
  { name: 'day of the month', from: 1, to: 31, names: [] },
  { name: 'month', from: 1, to: 12, names: ['', ...monthNames] },
  // 7 is Sunday too.
  { name: 'day of the week', from: 0, to: 7, names: weekdayNames },
] as const satisfies readonly Field[];

/**
 * Reads a cron expression: five fields (minute, hour, day of the month, month, day of the week) of numbers, names, `*`, lists
 * (`1,15`), ranges (`1-5`), steps (`10-40/10`, or a star and `/15`) and `L` for the last day of the month. Several, with ` | ` between them, are
 * the times of all of them.
 *
 * @throws PIPELINE_INVALID
 */
export function parseCron(expression: string): readonly CronFields[] {
  return expression.split('|').map((one) => parseOne(one.trim(), expression));
}

function parseOne(text: string, whole: string): CronFields {
  const parts = text.split(/\s+/);
  if (parts.length !== 5 || text === '') throw invalid(whole, `it has ${text === '' ? 0 : parts.length} fields, not five`);
  const [minute, hour, day, month, weekday] = parts as [string, string, string, string, string];
  const lastDay = day.split(',').includes('L');
  const numbered = day
    .split(',')
    .filter((part) => part !== 'L')
    .join(',');
  const parsed: CronFields = {
    minutes: numbers(minute, fields[0], whole),
    hours: numbers(hour, fields[1], whole),
    days: lastDay && numbered === '' ? new Set() : numbers(numbered, fields[2], whole),
    lastDay,
    months: numbers(month, fields[3], whole),
    weekdays: new Set([...numbers(weekday, fields[4], whole)].map((number) => number % 7)),
    eitherDay: !day.startsWith('*') && !weekday.startsWith('*'),
    everyHour: hour.startsWith('*'),
  };
  if (!exists(parsed)) throw invalid(whole, 'no month of those it names has such a day');
  return parsed;
}

function numbers(text: string, field: Field, whole: string): ReadonlySet<number> {
  const found = new Set<number>();
  for (const part of text.split(',')) {
    const match = /^(?:(\*)|([0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?)(?:\/([0-9]{1,2}))?$/i.exec(part);
    if (!match) throw invalid(whole, `"${part}" is no ${field.name}`);
    const [, star, first = '', last, step] = match;
    const low = star ? field.from : numberOf(first, field, whole);
    // `5/10` is what people write for "from 5 on, every 10".
    const high = star ? field.to : last === undefined ? (step === undefined ? low : field.to) : numberOf(last, field, whole);
    const by = step === undefined ? 1 : Number(step);
    if (low > high) throw invalid(whole, `"${part}" ends before it begins`);
    if (by < 1) throw invalid(whole, `"${part}" makes no step`);
    // `*` of the week is 0 to 6: with 7 a step would meet Sunday twice.
    for (let number = low; number <= (star && field.to === 7 ? 6 : high); number += by) found.add(number);
  }
  return found;
}

function numberOf(text: string, field: Field, whole: string): number {
  const number = /^[0-9]/.test(text) ? Number(text) : field.names.indexOf(text.toLowerCase());
  if (number >= field.from && number <= field.to) return number;
  throw invalid(whole, `"${text}" is no ${field.name} (${field.from} to ${field.to})`);
}

const longest = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** `0 0 30 2 *` would wait for ever. */
function exists({ days, lastDay, months, eitherDay }: CronFields): boolean {
  return lastDay || eitherDay || [...months].some((month) => [...days].some((day) => day <= (longest[month - 1] as number)));
}

function invalid(expression: string, because: string): MillraceError {
  return new MillraceError('PIPELINE_INVALID', {
    message: `The cron expression "${expression}" cannot be read: ${because}.`,
    remedy: "Write minute, hour, day of the month, month and day of the week: cron('0 6 * * 1-5', 'Europe/Paris').",
    facts: { expression },
  });
}
