import { failpoint } from '@millrace/core/runtime';

/** Instants of a stream's sink at which a crash must cost time only. */
export const postgresApplyFailpoints = [
  'postgres.apply.taken',
  'postgres.apply.prepared',
  'postgres.apply.followed',
  'postgres.apply.copy.begun',
  'postgres.apply.copy.rows',
  'postgres.apply.copy.split',
  'postgres.apply.copy.finishing',
  'postgres.apply.copy.finished',
  'postgres.apply.copy.indexed',
  'postgres.apply.begun',
  'postgres.apply.written',
  'postgres.apply.positioned',
  'postgres.apply.committed',
] as const;

export type PostgresApplyFailpoint = (typeof postgresApplyFailpoints)[number];

export const passing: (point: PostgresApplyFailpoint) => void = failpoint;
