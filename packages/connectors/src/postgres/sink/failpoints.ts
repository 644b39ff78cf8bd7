import { failpoint } from '@millrace/core/runtime';

/** What the load was doing. `replace` builds a table beside the old one, or fills the old one anew where a swap would break something. */
export const postgresFailpoints = [
  'postgres.ledger.made',
  'postgres.table.created',
  'postgres.table.altered',
  'postgres.fence.taken',
  ...(['append', 'merge', 'replace', 'history'] as const).flatMap((mode) => [
    `postgres.${mode}.begun` as const,
    `postgres.${mode}.copied` as const,
    `postgres.${mode}.fenced` as const,
    `postgres.${mode}.written` as const,
    `postgres.${mode}.recorded` as const,
    `postgres.${mode}.committed` as const,
  ]),
  'postgres.staged.begun',
  'postgres.staged.copied',
  'postgres.staged.committed',
  'postgres.staged.dropped',
  'postgres.replace.indexed',
  'postgres.replace.swapped',
  'postgres.sql.executed',
  'postgres.sql.committed',
] as const;

export type PostgresFailpoint = (typeof postgresFailpoints)[number];

/** An instant at which a crash must cost time only. */
export const passing: (point: PostgresFailpoint) => void = failpoint;
