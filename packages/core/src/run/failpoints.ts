import { failpoint } from '../connector/index.ts';

/** Instants of an attempt at which a crash must cost time only. */
export const engineFailpoints = [
  'engine.stage.started',
  'engine.plan.made',
  'engine.plan.stored',
  'engine.load.begun',
  'engine.splits.offered',
  'engine.split.staged',
  'engine.part.stored',
  'engine.splits.done',
  'engine.quarantine.committed',
  'engine.load.committed',
  'engine.execute.done',
  'engine.remote.intended',
  'engine.remote.started',
  'engine.remote.recorded',
  'engine.remote.polled',
  'engine.remote.cancelled',
  'engine.stream.created',
  'engine.stream.followed',
  'engine.stream.split-copied',
  'engine.stream.table-copied',
  'engine.stream.applied',
  'engine.stream.released',
] as const;

export const passing: (point: (typeof engineFailpoints)[number]) => void = failpoint;
