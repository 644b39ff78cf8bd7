import { MillraceError, type StoredError, storeError } from '@millrace/core/runtime';

/** Why a worker stops a stage that runs. */

export const cancelled = (run: string): StoredError =>
  storeError(
    new MillraceError('RUN_CANCELLED', {
      message: `Run ${run} was cancelled.`,
      remedy: 'Nothing of this stage is visible at its target.',
      facts: { run },
    }),
  );

export const shutdown: StoredError = storeError(
  new MillraceError('SHUTDOWN', {
    message: 'The process that ran the stage was asked to end.',
    remedy: 'The next "millrace run" of the pipeline goes on with it.',
  }),
);

export const leaseGone = (run: string, stage: string): StoredError =>
  storeError(
    new MillraceError('LEASE_LOST', {
      message: `The lease of stage "${stage}" of run ${run} is over: this process did not renew it in time, or another has taken over.`,
      remedy: 'Nothing to do: another attempt goes on.',
      facts: { run, stage },
    }),
  );
