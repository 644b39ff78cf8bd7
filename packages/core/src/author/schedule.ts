import { createHash } from 'node:crypto';
import type { SecretRef } from '../connector/index.ts';
import { MillraceError } from '../error/index.ts';
import { nameParts } from '../schema/index.ts';
import { parseCron, weekdayNames } from './cron-expression.ts';
import { milliseconds } from './duration.ts';
import type { Duration } from './step.ts';

/** When runs are made. Plain data: it stands in the plan as it is. */
export type Schedule =
  | { readonly kind: 'manual' }
  | CronSchedule
  | { readonly kind: 'continuous' }
  | FilesSchedule
  | NotifySchedule
  | SuccessSchedule;

export interface CronSchedule extends CronOptions {
  readonly kind: 'cron';
  /** Five fields; several expressions stand with ` | ` between them. */
  readonly expression: string;
  /** An IANA name. */
  readonly timeZone: string;
}

export interface CronOptions {
  /**
   * What becomes of times that passed while no scheduler ran, or while the schedule was paused. `latest`, the default, makes one run
   * for the last of them; `all` one for each, oldest first (the 1,000 newest at most); `none` makes none, unless the last of them
   * was less than five minutes ago.
   */
  readonly catchUp?: 'none' | 'latest' | 'all';
  /**
   * What becomes of a time that comes while an earlier scheduled run of the pipeline is not done. `queue`, the default, waits for it;
   * `skip` leaves the new time out; `cancel` stops the earlier run and then begins; `allow` starts beside it, as far as the
   * pipeline's `concurrency` lets it.
   */
  readonly overlap?: 'skip' | 'queue' | 'cancel' | 'allow';
  /**
   * How long after its time a run should have succeeded; whoever is told of `late` runs is told then. Until the next time comes where it
   * is left out, and an hour at least.
   */
  readonly within?: Duration;
}

export interface FilesSchedule {
  readonly kind: 'files';
  /** `s3://bucket/landing/*.csv`, `file:./landing/*.csv` */
  readonly pattern: string;
  /** Milliseconds for which a file must not have changed. 30,000 where it is left out. */
  readonly quietMs?: number;
}

export interface SuccessSchedule {
  readonly kind: 'success';
  readonly of: string;
  /** Of the other pipeline's schedule, where it has one: days are the same for both. */
  readonly timeZone?: string;
}

export interface NotifySchedule {
  readonly kind: 'notify';
  readonly channel: string;
  /** The Postgres that notifies; the one that keeps runs where it is left out. */
  readonly database?: SecretRef;
  /** Of `onChange()`: what the scheduler makes database triggers for. */
  readonly changes?: { readonly tables: readonly string[]; readonly on: readonly TableOperation[]; readonly quietMs: number };
}

export type TableOperation = 'insert' | 'update' | 'delete' | 'truncate';

/** `06:00` */
export type TimeOfDay = `${number}:${number}`;
export type Weekday = 'monday' | 'tuesday' | 'wednesday' | 'thursday' | 'friday' | 'saturday' | 'sunday';

/** Only when somebody asks: `millrace run`. */
export const manual: Schedule = Object.freeze({ kind: 'manual' });
/** Without end: for captures. */
export const continuous: Schedule = Object.freeze({ kind: 'continuous' });

/**
 * Five fields, as cron has them: `cron('0 6 * * 1-5', 'Europe/Paris', { overlap: 'skip' })`. UTC where no time zone is given.
 *
 * Where the clocks change: an expression with fixed hours runs once a day; a time that is left out comes right after the gap, one
 * that comes twice counts the first time. One whose hour is `*` goes by the time that passes, so it runs in both of two equal hours.
 *
 * @throws PIPELINE_INVALID for an expression, a time zone or an option that is none
 */
export function cron(expression: string, timeZone = 'UTC', options: CronOptions = {}): Schedule {
  parseCron(expression);
  checkTimeZone(timeZone);
  checkOptions(options);
  const { catchUp, overlap, within } = options;
  return Object.freeze({
    kind: 'cron',
    expression,
    timeZone,
    ...(catchUp && { catchUp }),
    ...(overlap && { overlap }),
    ...(within && { within }),
  });
}

/** `daily('02:00', 'Europe/Paris')`, or several times a day: `daily(['06:00', '18:30'], 'Europe/Paris')`. @throws PIPELINE_INVALID */
export function daily(at: TimeOfDay | readonly TimeOfDay[], timeZone = 'UTC', options: CronOptions = {}): Schedule {
  return cron(expressions(at, '* * *'), timeZone, options);
}

/** At `minute` past every hour. @throws PIPELINE_INVALID */
export const hourly = (minute = 0, timeZone = 'UTC', options: CronOptions = {}): Schedule => cron(`${minute} * * * *`, timeZone, options);

/** `weekly('monday', '06:00', 'Europe/Paris')`, or on several days: `weekly(['monday', 'thursday'], '06:00')`. @throws PIPELINE_INVALID */
export function weekly(
  on: Weekday | readonly Weekday[],
  at: TimeOfDay | readonly TimeOfDay[],
  timeZone = 'UTC',
  options: CronOptions = {},
): Schedule {
  const days = list(on).map((day) => {
    const number = weekdayNames.indexOf(String(day).slice(0, 3).toLowerCase());
    if (number < 0) throw invalid(`"${day}" is no day of the week`, "Write it in full: weekly('monday', '06:00').");
    return number;
  });
  return cron(expressions(at, `* * ${days.join(',')}`), timeZone, options);
}

/**
 * `monthly(1, '06:00', 'Europe/Paris')`, or `monthly('last', …)` for the last day. Months that have no day 29, 30 or 31 are left out
 * where such a day is asked for. @throws PIPELINE_INVALID
 */
export function monthly(
  on: number | 'last' | readonly (number | 'last')[],
  at: TimeOfDay | readonly TimeOfDay[],
  timeZone = 'UTC',
  options: CronOptions = {},
): Schedule {
  const days = list(on).map((day) => (day === 'last' ? 'L' : day));
  return cron(expressions(at, `${days.join(',')} * *`), timeZone, options);
}

/**
 * A run for each file that appears under the pattern, and for each new content of it, once it has not changed for `quiet`
 * (`30s` by default). Declare the parameter `file` (`params: { file: null }`) to be told which one it is; `etag` tells its version.
 *
 * @throws PIPELINE_INVALID
 */
export function onFiles(pattern: string, { quiet }: { readonly quiet?: Duration } = {}): Schedule {
  if (!/^(s3|file):.*[^/]$/.test(pattern))
    throw invalid(`onFiles("${pattern}") names no files`, "Write where they are: onFiles('s3://bucket/landing/*.csv').");
  return Object.freeze({ kind: 'files', pattern, ...(quiet !== undefined && { quietMs: milliseconds(quiet) }) });
}

/**
 * A run for each NOTIFY on the channel, and for each row that somebody puts into `_millrace.trigger` for it, which is not missed
 * while nobody listens. Declare the parameter `payload` to be told what was sent with it. @throws PIPELINE_INVALID
 */
export function onNotify(channel: string, { database }: { readonly database?: SecretRef } = {}): Schedule {
  if (!/^[^\0]{1,63}$/.test(channel)) throw invalid(`"${channel}" is no name of a channel`, 'Use 1 to 63 characters, as in NOTIFY.');
  if (typeof database === 'string')
    throw invalid(
      'onNotify() is given a URL, which would stand in the plan',
      "Name a secret: onNotify('orders', { database: secret('SHOP_URL') }).",
    );
  return Object.freeze({ kind: 'notify', channel, ...(database && { database }) });
}

const operations: readonly TableOperation[] = ['insert', 'update', 'delete', 'truncate'];

/**
 * A run after tables of a Postgres database have changed: `onChange('public.orders', { database: secret('SHOP_URL'), quiet: '10s' })`. The
 * scheduler makes the triggers there and drops them when they are not declared any longer. Changes that come before it is `quiet` start
 * one run together (after ten times that long at the latest); declare the parameter `payload` to be told what they were, as JSON.
 *
 * @throws PIPELINE_INVALID
 */
export function onChange(
  tables: string | readonly string[],
  {
    database,
    on = ['insert', 'update', 'delete', 'truncate'],
    quiet = '5s',
  }: { readonly database: SecretRef; readonly on?: readonly TableOperation[]; readonly quiet?: Duration },
): Schedule {
  const names = [...new Set(list(tables))];
  const wrong = names.find((name) => typeof name !== 'string' || (nameParts(name)?.length ?? 3) > 2);
  if (wrong !== undefined || names.length === 0)
    throw invalid(
      `onChange: ${JSON.stringify(wrong ?? tables)} is not the name of a table`,
      "Write one or several, with their schema: 'public.orders'.",
    );
  if (typeof database !== 'object' || database?.kind !== 'secret')
    throw invalid(
      'onChange() is not told in which database',
      "Name a secret: onChange('public.orders', { database: secret('SHOP_URL') }).",
    );
  const unknown = on.find((operation) => !operations.includes(operation));
  if (unknown !== undefined || on.length === 0)
    throw invalid(`onChange: on ${JSON.stringify(unknown ?? on)} is not an operation`, `Write some of ${operations.join(', ')}.`);
  const changes = { tables: names, on: operations.filter((operation) => on.includes(operation)), quietMs: milliseconds(quiet) };
  const channel = `change-${createHash('sha256')
    .update(JSON.stringify([changes.tables, changes.on]))
    .digest('hex')
    .slice(0, 16)}`;
  return Object.freeze({ kind: 'notify', channel, database, changes: Object.freeze(changes) });
}

/** After each successful run of another pipeline, for the time and the window which that one was for. */
export function onSuccess(of: { readonly name: string; readonly runs?: Schedule }): Schedule {
  const timeZone = of.runs ? timeZoneOf(of.runs) : 'UTC';
  return Object.freeze({ kind: 'success', of: of.name, ...(timeZone !== 'UTC' && { timeZone }) });
}

/** The time zone by whose days a pipeline goes. */
export function timeZoneOf(schedule: Schedule): string {
  return (schedule.kind === 'cron' || schedule.kind === 'success' ? schedule.timeZone : undefined) ?? 'UTC';
}

const list = <T>(one: T | readonly T[]): readonly T[] => (Array.isArray(one) ? one : [one as T]);

/** Times that share their minute are one expression. */
function expressions(at: TimeOfDay | readonly TimeOfDay[], rest: string): string {
  const hours = new Map<number, number[]>();
  for (const time of list(at)) {
    const match = /^(\d{1,2}):(\d{2})$/.exec(time);
    const [hour, minute] = [Number(match?.[1]), Number(match?.[2])];
    if (!match || hour > 23 || minute > 59) throw invalid(`"${time}" is no time of the day`, 'Write it with 24 hours: 06:00, 18:30.');
    hours.set(minute, [...(hours.get(minute) ?? []), hour]);
  }
  if (hours.size === 0) throw invalid('A schedule without a time of the day never runs', "Give one or several: daily(['06:00', '18:30']).");
  return [...hours].map(([minute, at]) => `${minute} ${at.join(',')} ${rest}`).join(' | ');
}

function checkTimeZone(timeZone: string): void {
  try {
    if (!/^[a-z]/i.test(timeZone)) throw new RangeError('an offset');
    new Intl.DateTimeFormat('en', { timeZone });
  } catch {
    throw invalid(`"${timeZone}" is no time zone`, "Write its IANA name: 'Europe/Paris', 'America/New_York', 'UTC'.");
  }
}

const choices = { catchUp: ['none', 'latest', 'all'], overlap: ['skip', 'queue', 'cancel', 'allow'] } as const;

function checkOptions({ within, ...options }: CronOptions): void {
  if (within !== undefined && !(milliseconds(within) > 0))
    throw invalid(`within: ${JSON.stringify(within)} is over at once`, "Write how long a run may take: { within: '2h' }.");
  for (const [name, value] of Object.entries(options)) {
    const known: readonly unknown[] | undefined = choices[name as keyof typeof choices];
    if (!known) throw invalid(`A schedule has no option "${name}"`, 'There are catchUp, overlap and within.');
    if (value !== undefined && !known.includes(value))
      throw invalid(`${name}: ${JSON.stringify(value)} is not known`, `Write one of ${known.join(', ')}.`);
  }
}

function invalid(message: string, remedy: string): MillraceError {
  return new MillraceError('PIPELINE_INVALID', { message: `${message}.`, remedy });
}
