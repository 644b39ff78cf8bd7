import { type CronFields, type CronSchedule, parseCron } from '@millrace/core/runtime';
import { instantsOf, offsetAt, steadyOffset } from './zone.ts';

/*
 * The times of a schedule. Where the clocks change it does what cron does:
 *
 *   fixed hours (`30 2 * * *`)      go by the clock on the wall. A time that it leaves out comes once, at the first instant after the
 *                                   gap; one that it shows twice counts the first time.
 *   every hour (`30 * * * *`)       goes by the time that passes: times that the clock leaves out are left out, both of two equal
 *                                   hours are run in.
 */

export type CronTimes = Pick<CronSchedule, 'expression' | 'timeZone'>;

/** All times after `after`, up to and with `until`, in order. */
export function nextTimes(schedule: CronTimes, after: Date, until: Date): Date[] {
  const times: Date[] = [];
  for (const time of timesAfter(schedule, after.getTime(), until.getTime())) times.push(new Date(time));
  return times;
}

/** The first time after `after`; null where no year to come has one. */
export function nextTime(schedule: CronTimes, after: Date): Date | null {
  const { value } = timesAfter(schedule, after.getTime(), after.getTime() + longestPause).next();
  return value === undefined ? null : new Date(value);
}

/** The last time before `before`. */
export function previousTime(schedule: CronTimes, before: Date): Date | null {
  const until = new Date(before.getTime() - 1);
  return lastTimes(schedule, new Date(before.getTime() - longestPause), until, 1)[0] ?? null;
}

/** The newest `count` of the times after `after`, up to and with `until`, in order: however long ago `after` is, this takes no longer. */
export function lastTimes(schedule: CronTimes, after: Date, until: Date, count: number): Date[] {
  for (let width = day; ; width *= 2) {
    const from = Math.max(after.getTime(), until.getTime() - width);
    const times = nextTimes(schedule, new Date(from), until);
    if (times.length >= count || from === after.getTime()) return times.slice(Math.max(0, times.length - count));
  }
}

const minute = 60_000;
const day = 86_400_000;

/** Between two 29ths of February there may be eight years. */
const longestPause = 9 * 366 * day;

function* timesAfter({ expression, timeZone }: CronTimes, after: number, until: number): Generator<number, undefined> {
  const all = parseCron(expression);
  const first = Math.floor((after + offsetAt(timeZone, after)) / day) * day - day;
  let last = after;
  for (let date = first; date - 2 * day <= until; date += day) {
    const times = all.flatMap((fields) => (fits(fields, date) ? timesOfDay(fields, timeZone, date) : []));
    for (const time of times.sort((a, b) => a - b)) {
      if (time > until) return;
      if (time <= last) continue;
      last = time;
      yield time;
    }
  }
}

function fits({ days, lastDay, months, weekdays, eitherDay }: CronFields, date: number): boolean {
  const of = new Date(date);
  if (!months.has(of.getUTCMonth() + 1)) return false;
  const byDay = days.has(of.getUTCDate()) || (lastDay && new Date(date + day).getUTCDate() === 1);
  const byWeekday = weekdays.has(of.getUTCDay());
  return eitherDay ? byDay || byWeekday : byDay && byWeekday;
}

function timesOfDay({ hours, minutes, everyHour }: CronFields, timeZone: string, date: number): number[] {
  const steady = steadyOffset(timeZone, date);
  const times: number[] = [];
  for (const hour of hours) {
    for (const past of minutes) {
      const wall = date + (hour * 60 + past) * minute;
      if (steady !== undefined) times.push(wall - steady);
      else times.push(...atChange(timeZone, wall, everyHour));
    }
  }
  return times;
}

function atChange(timeZone: string, wall: number, everyHour: boolean): readonly number[] {
  const meaning = instantsOf(timeZone, wall);
  if (meaning.kind === 'gap') return everyHour ? [] : [meaning.next];
  return everyHour ? meaning.at : meaning.at.slice(0, 1);
}
