import { MillraceError } from '@millrace/core/runtime';
import { postgresScheduleStore } from '@millrace/worker';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import { insteadOfPause, needsSchedulers } from '../scheduler/needs-schedulers.ts';
import type { Session } from '../session.ts';

/** Pauses a schedule, or has it go on. */
export async function schedulePause(session: Session, pipeline: string, paused: boolean): Promise<ExitCode> {
  const { terminal } = session;
  await needsSchedulers(session, insteadOfPause);
  const store = session.keep(await postgresScheduleStore(await session.stateDatabase()));
  const schedule = await store.pause(pipeline, paused);
  if (!schedule)
    throw noSchedule(
      pipeline,
      (await store.schedules()).map((one) => one.pipeline),
    );
  terminal.print(`${pipeline}: ${paused ? 'paused; what comes meanwhile waits' : 'active'}`);
  terminal.emit({ schedule });
  return exitCodes.ok;
}

export function noSchedule(pipeline: string, known: readonly string[]): MillraceError {
  return new MillraceError('PIPELINE_NOT_FOUND', {
    message: `No scheduler has deployed a pipeline "${pipeline}".`,
    remedy: known.length > 0 ? `There are ${known.join(', ')}.` : 'Start one: millrace scheduler, or on a laptop millrace dev',
    facts: { pipeline, known },
  });
}
