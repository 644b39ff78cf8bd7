import { failpoint } from '@millrace/core/runtime';

/** What a change log was doing. A crash at any of them costs time, never a change, and doubles none. */
export const changeLogFailpoints = [
  's3.log.taken-over',
  's3.log.followed',
  's3.log.spooled',
  's3.log.converted',
  's3.log.noted',
  's3.log.uploaded',
  's3.log.commit-begun',
  's3.log.committed',
  's3.log.tidied',
] as const;

export const passing: (point: (typeof changeLogFailpoints)[number]) => void = failpoint;
