import { type ScheduleStore, type StoredSchedule, scheduleText, type Tick } from '@millrace/core/runtime';
import { duration, moment } from '../text/amount.ts';
import { alignedTable } from '../text/table.ts';

/** A schedule as it is now. */
export interface ScheduleStatus extends StoredSchedule {
  /** Whether a scheduler is there that has it. */
  readonly served: boolean;
  /** Milliseconds since its next time has come and nobody has made anything of it; null where none is due. */
  readonly lateMs: number | null;
  readonly last: Tick | null;
}

/** Milliseconds without a word of a scheduler after which nobody seems to be there: they speak every 30 s. */
export const silentMs = 90_000;

export async function scheduleStatuses(store: ScheduleStore): Promise<ScheduleStatus[]> {
  const now = (await store.now()).getTime();
  return Promise.all(
    (await store.schedules()).map(async (schedule) => {
      const [last = null] = await store.ticks(schedule.pipeline, 1);
      const { paused, nextAt, servedAt } = schedule;
      const overdue = paused || nextAt === null ? 0 : now - Date.parse(nextAt);
      return { ...schedule, served: now - Date.parse(servedAt) < silentMs, lateMs: overdue > 0 ? overdue : null, last };
    }),
  );
}

export function scheduleTable(found: readonly ScheduleStatus[], head: (text: string) => string): string[] {
  return alignedTable(
    [{ title: 'pipeline' }, { title: 'runs' }, { title: 'state' }, { title: 'next (UTC)' }, { title: 'last' }, { title: 'run' }],
    found.map((one) => [
      one.pipeline,
      scheduleText(one.schedule),
      stateText(one),
      nextText(one),
      one.last === null ? '' : `${moment(one.last.logicalTime)} ${one.last.state}`,
      one.last?.run ?? '',
    ]),
    head,
  );
}

const stateText = ({ paused, served }: ScheduleStatus): string =>
  [paused ? 'paused' : 'active', ...(served ? [] : ['no scheduler'])].join(', ');

/** A scheduler needs a moment: a second or two is not late. */
const slackMs = 5_000;

function nextText({ paused, nextAt, lateMs }: ScheduleStatus): string {
  if (paused || nextAt === null) return '';
  return lateMs !== null && lateMs > slackMs ? `${moment(nextAt)}, late by ${duration(lateMs)}` : moment(nextAt);
}
