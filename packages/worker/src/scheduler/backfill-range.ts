import type { BackfillSlice, BackfillUnit, Schedule } from '@millrace/core/runtime';
import { MillraceError, timeZoneOf } from '@millrace/core/runtime';
import { type CronTimes, nextTime, nextTimes, previousTime } from './calendar.ts';

export interface BackfillRange {
  /** The first instant of it, and the first behind it: ISO 8601. */
  readonly start: string;
  readonly end: string;
  readonly by: BackfillUnit;
}

/** Ten years of hours. */
const mostItems = 100_000;

const boundaries: Readonly<Record<Exclude<BackfillUnit, 'schedule'>, string>> = {
  hour: '0 * * * *',
  day: '0 0 * * *',
  week: '0 0 * * 1',
  month: '0 0 1 * *',
};

/**
 * Cuts a range into the slices of a backfill, oldest first. Hours, days, weeks (from Monday) and months begin as the clock in the
 * schedule's time zone shows it; a slice is for the first instant of its window, as `run --date` is. `by: 'schedule'` gives the times
 * of the schedule with the windows that its own runs have.
 *
 * @throws CONFIG_INVALID
 */
export function sliceRange({ start, end, by }: BackfillRange, schedule: Schedule): BackfillSlice[] {
  const [from, until] = [new Date(start), new Date(end)];
  if (by === 'schedule' && schedule.kind !== 'cron')
    throw refused('The pipeline has no times of its own to go by.', 'Say what the range is cut into: hour, day, week or month.');
  const times: CronTimes = by === 'schedule' ? (schedule as CronTimes) : { expression: boundaries[by], timeZone: timeZoneOf(schedule) };
  // A boundary that is the start itself counts, one that is the end does not.
  const found = nextTimes(times, new Date(from.getTime() - 1), new Date(until.getTime() - 1));
  if (found.length > mostItems)
    throw refused(`That is ${found.length} runs.`, `Take a smaller range or a larger unit: ${mostItems} at most.`);
  if (found.length === 0)
    throw refused(`No ${by === 'schedule' ? 'time of the schedule' : by} begins between ${start} and ${end}.`, 'Take a larger range.');
  return found.map((time, i): BackfillSlice => {
    const at = time.toISOString();
    if (by === 'schedule') return { logicalTime: at, window: { start: (previousTime(times, time) ?? time).toISOString(), end: at } };
    const next = found[i + 1] ?? nextTime(times, time) ?? until;
    return { logicalTime: at, window: { start: at, end: next.toISOString() } };
  });
}

function refused(message: string, remedy: string): MillraceError {
  return new MillraceError('CONFIG_INVALID', { message, remedy });
}
