import { type StoredSchedule, scheduleText, type Tick } from '@millrace/core/runtime';
import { postgresScheduleStore } from '@millrace/worker';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import type { Session } from '../session.ts';
import { moment } from '../text/amount.ts';
import { alignedTable } from '../text/table.ts';

/** Milliseconds without a word of a scheduler after which nobody seems to be there. */
const silentMs = 90_000;

export async function scheduleList(session: Session): Promise<ExitCode> {
  const { terminal } = session;
  const store = session.keep(await postgresScheduleStore(await session.stateUrl()));
  const now = await store.now();
  const found = await Promise.all(
    (await store.schedules()).map(async (schedule) => {
      const [last = null] = await store.ticks(schedule.pipeline, 1);
      return { ...schedule, served: now.getTime() - Date.parse(schedule.servedAt) < silentMs, last };
    }),
  );
  if (found.length === 0) terminal.say('No schedules: a scheduler stores those of the project when it starts.');
  else {
    terminal.print(
      alignedTable(
        [{ title: 'pipeline' }, { title: 'runs' }, { title: 'state' }, { title: 'next (UTC)' }, { title: 'last' }, { title: 'run' }],
        found.map((one) => [
          one.pipeline,
          scheduleText(one.schedule),
          stateText(one),
          nextText(one),
          lastText(one.last),
          one.last?.run ?? '',
        ]),
        terminal.out.dim,
      ).join('\n'),
    );
  }
  terminal.emit({ schedules: found });
  return exitCodes.ok;
}

const stateText = ({ paused, served }: StoredSchedule & { readonly served: boolean }): string =>
  [paused ? 'paused' : 'active', ...(served ? [] : ['no scheduler'])].join(', ');

const nextText = ({ paused, nextAt }: StoredSchedule): string => (paused || nextAt === null ? '' : moment(nextAt));

const lastText = (last: Tick | null): string => (last === null ? '' : `${moment(last.logicalTime)} ${last.state}`);
