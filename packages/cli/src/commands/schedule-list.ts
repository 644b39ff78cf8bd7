import { postgresScheduleStore } from '@millrace/worker';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import { scheduleStatuses, scheduleTable } from '../scheduler/schedule-status.ts';
import type { Session } from '../session.ts';

export async function scheduleList(session: Session): Promise<ExitCode> {
  const { terminal } = session;
  const schedules = await scheduleStatuses(session.keep(await postgresScheduleStore(await session.stateDatabase())));
  if (schedules.length === 0) terminal.say('No schedules: a scheduler stores those of the project when it starts.');
  else terminal.print(scheduleTable(schedules, terminal.out.dim).join('\n'));
  terminal.emit({ schedules });
  return exitCodes.ok;
}
