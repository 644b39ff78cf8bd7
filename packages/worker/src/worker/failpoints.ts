import { failpoint } from '@millrace/core/runtime';

/** Instants of a worker at which a crash must cost time only. */
export const workerFailpoints = [
  'worker.run.created',
  'worker.stage.claimed',
  'worker.stage.joined',
  'worker.look.taken',
  'worker.look.known',
  'worker.look.stored',
  'worker.outcome.known',
  'worker.outcome.stored',
] as const;

export const passing: (point: (typeof workerFailpoints)[number]) => void = failpoint;
