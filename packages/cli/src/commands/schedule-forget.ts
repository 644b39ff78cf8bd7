import { MillraceError } from '@millrace/core/runtime';
import { postgresScheduleStore } from '@millrace/worker';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import { silentMs } from '../scheduler/schedule-status.ts';
import type { Session } from '../session.ts';
import { noSchedule } from './schedule-pause.ts';

/** For schedules whose pipeline is gone. What has run stays in the history. */
export async function scheduleForget(session: Session, pipeline: string): Promise<ExitCode> {
  const { terminal } = session;
  const store = session.keep(await postgresScheduleStore(await session.stateDatabase()));
  const outcome = await store.forget(pipeline, silentMs);
  if (outcome === 'unknown')
    throw noSchedule(
      pipeline,
      (await store.schedules()).map((one) => one.pipeline),
    );
  if (outcome === 'served')
    throw new MillraceError('CONFIG_INVALID', {
      message: `A scheduler has the pipeline "${pipeline}" and would store its schedule again.`,
      remedy: `Take the pipeline out of what it deploys and try again when it has been gone for 90 seconds; "millrace schedule pause ${pipeline}" stops it now.`,
      facts: { pipeline },
    });
  terminal.print(`${pipeline}: its schedule is forgotten`);
  terminal.emit({ pipeline, forgotten: true });
  return exitCodes.ok;
}
