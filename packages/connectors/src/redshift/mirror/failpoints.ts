import { failpoint } from '@millrace/core/runtime';

/** What a mirror in a warehouse was doing. A crash at any of them costs time, never a change, and doubles none. */
export const redshiftApplyFailpoints = [
  'redshift.apply.taken-over',
  'redshift.apply.followed',
  'redshift.apply.uploaded',
  'redshift.apply.fenced',
  'redshift.apply.landed',
  'redshift.apply.written',
  'redshift.apply.recorded',
  'redshift.apply.committed',
  'redshift.apply.tidied',
] as const;

export const passing: (point: (typeof redshiftApplyFailpoints)[number]) => void = failpoint;
