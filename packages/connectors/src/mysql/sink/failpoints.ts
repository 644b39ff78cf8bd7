import { failpoint } from '@millrace/core/runtime';

/** What the load was doing. `replace` swaps a table that was built beside the old one, or fills the old one anew where a swap would break something. */
export const mysqlFailpoints = [
  'mysql.ledger.made',
  'mysql.table.created',
  'mysql.fence.taken',
  'mysql.staged.copied',
  'mysql.staged.committed',
  'mysql.staged.dropped',
  ...(['append', 'merge', 'replace', 'history'] as const).flatMap((mode) => [
    `mysql.${mode}.begun` as const,
    `mysql.${mode}.fenced` as const,
    `mysql.${mode}.written` as const,
    `mysql.${mode}.recorded` as const,
    `mysql.${mode}.committed` as const,
  ]),
  'mysql.replace.built',
  'mysql.replace.announced',
  'mysql.replace.swapped',
  'mysql.replace.withdrawn',
  'mysql.replace.settled',
  'mysql.sql.executed',
  'mysql.sql.committed',
] as const;

export type MysqlFailpoint = (typeof mysqlFailpoints)[number];

/** An instant at which a crash must cost time only. */
export const passing: (point: MysqlFailpoint) => void = failpoint;
