import { failpoint } from '@millrace/core/runtime';

/** Instants of a stream's sink at which a crash must cost time only. */
export const mysqlApplyFailpoints = [
  'mysql.apply.taken',
  'mysql.apply.prepared',
  'mysql.apply.followed',
  'mysql.apply.copy.begun',
  'mysql.apply.copy.rows',
  'mysql.apply.copy.split',
  'mysql.apply.copy.finishing',
  'mysql.apply.copy.announced',
  'mysql.apply.copy.swapped',
  'mysql.apply.copy.finished',
  'mysql.apply.copy.withdrawn',
  'mysql.apply.begun',
  'mysql.apply.written',
  'mysql.apply.marked',
  'mysql.apply.altered',
  'mysql.apply.positioned',
  'mysql.apply.committed',
] as const;

export type MysqlApplyFailpoint = (typeof mysqlApplyFailpoints)[number];

export const passing: (point: MysqlApplyFailpoint) => void = failpoint;
