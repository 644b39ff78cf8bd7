import { failpoint } from '@millrace/core/runtime';

/** What the load was doing. */
export const jdbcFailpoints = [
  'jdbc.load.begun',
  'jdbc.load.staged',
  'jdbc.load.fenced',
  'jdbc.load.written',
  'jdbc.load.recorded',
  'jdbc.load.committed',
] as const;

export type JdbcFailpoint = (typeof jdbcFailpoints)[number];

/** An instant at which a crash must cost time only. */
export const passing: (point: JdbcFailpoint) => void = failpoint;
