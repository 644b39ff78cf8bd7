import type { FilesRef, Window } from '../connector/index.ts';
import { fingerprint } from '../plan/index.ts';
import type { RowSchema } from '../schema/index.ts';
import type { StageJob } from './stage-job.ts';

/**
 * The name under which a load is applied once. An incremental load is its window, whichever run asks for it; a load of files is
 * those files; any other is the run's, so that the next run loads again.
 */
export function loadId(
  job: StageJob,
  step: string,
  of: { readonly schema: RowSchema; readonly window: Window | null; readonly files: readonly FilesRef[] },
): string {
  const { pipeline, id: run } = job.run;
  const whole = of.files.length === 0 && (of.window === null || job.fullRefresh);
  const what = whole
    ? { run }
    : { window: of.window, files: of.files.map(({ location, manifest }) => [location, manifest]), ...(job.fullRefresh && { run }) };
  const columns = of.schema.columns.map(({ name, type, nullable }) => [name, type, nullable]);
  return fingerprint([pipeline, step, what, columns]).slice(0, 32);
}

/** The note under which an execute step is done once in a run, and once more when a person asks for it again. */
export function executeId({ run, redone }: StageJob, step: string): string {
  return fingerprint([run.pipeline, step, run.id, redone]).slice(0, 32);
}
