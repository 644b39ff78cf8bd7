import { postgresScheduleStore } from '@millrace/worker';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import { insteadOfBackfill, needsSchedulers } from '../scheduler/needs-schedulers.ts';
import type { Session } from '../session.ts';
import { chosenBackfill } from './chosen-backfill.ts';

export async function backfillCancel(session: Session, wanted: string): Promise<ExitCode> {
  const { terminal } = session;
  const store = session.keep(await postgresScheduleStore(await session.stateDatabase()));
  const { id } = await chosenBackfill(store, wanted);
  const backfill = await store.cancelBackfill(id);
  terminal.print(`${id}: ${backfill?.state === 'cancelling' ? 'asked to stop; what has begun is being stopped' : backfill?.state}`);
  terminal.emit({ backfill });
  return exitCodes.ok;
}

export async function backfillResume(session: Session, wanted: string, options: { readonly onlyFailed?: true }): Promise<ExitCode> {
  const { terminal } = session;
  await needsSchedulers(session, insteadOfBackfill);
  const store = session.keep(await postgresScheduleStore(await session.stateDatabase()));
  const { id } = await chosenBackfill(store, wanted);
  const backfill = await store.resumeBackfill(id, { onlyFailed: options.onlyFailed ?? false });
  terminal.print(`${id}: ${backfill?.counts.pending ?? 0} to be done`);
  terminal.emit({ backfill });
  return exitCodes.ok;
}
