import { type CronSchedule, milliseconds, type ScheduleStore, type StoredSchedule, type Tick } from '@millrace/core/runtime';
import type { ExpectedRun } from '../observe/alerts/alert.ts';
import { recent } from '../observe/recent.ts';
import { nextTime } from './calendar.ts';

const hour = 3_600_000;
const day = 24 * hour;
/** Of ticks of a pipeline these are the newest: the minutes of a day. */
const mostTicks = 1_500;
/** Rows are read so often, whoever asks. */
const freshMs = 15_000;

/**
 * Scheduled runs whose deadline has passed in the last day. It is all in rows, so that any process of a fleet can tell of lateness: also
 * where no scheduler is left to make the run. Whether they have succeeded meanwhile is not looked at.
 */
export function expectedRuns(store: ScheduleStore): () => Promise<readonly ExpectedRun[]> {
  return recent(freshMs, async () => {
    const now = await store.now();
    const expected: ExpectedRun[] = [];
    for (const one of await store.schedules()) {
      if (one.schedule.kind === 'cron') expected.push(...passed(one, one.schedule, await store.ticks(one.pipeline, mostTicks), now));
    }
    return expected;
  });
}

/** Pure. A time that the policies leave out is not expected; one that is made up for, from when that was decided. */
export function passed(
  { pipeline, paused, nextAt }: Pick<StoredSchedule, 'pipeline' | 'paused' | 'nextAt'>,
  schedule: CronSchedule,
  ticks: readonly Tick[],
  now: Date,
): ExpectedRun[] {
  const wanted = ticks.filter(({ cause, state }) => cause === 'schedule' && state !== 'missed' && state !== 'skipped');
  const times = wanted.map(({ logicalTime, onTime, madeAt }) => ({ logicalTime, from: onTime ? logicalTime : madeAt }));
  // Its time has come, and nobody has made anything of it.
  if (!paused && nextAt !== null && Date.parse(nextAt) <= now.getTime()) times.push({ logicalTime: nextAt, from: nextAt });
  return times.flatMap(({ logicalTime, from }) => {
    const deadline = Date.parse(from) + within(schedule, new Date(logicalTime));
    const overdue = now.getTime() - deadline;
    return overdue >= 0 && overdue < day ? [{ pipeline, logicalTime, deadline: new Date(deadline).toISOString() }] : [];
  });
}

function within(schedule: CronSchedule, time: Date): number {
  if (schedule.within !== undefined) return milliseconds(schedule.within);
  const next = nextTime(schedule, time);
  return Math.max(hour, next === null ? day : next.getTime() - time.getTime());
}
