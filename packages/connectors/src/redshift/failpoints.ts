import { failpoint } from '@millrace/core/runtime';

export const redshiftFailpoints = [
  'redshift.copy.begun',
  'redshift.copy.landed',
  'redshift.copy.fenced',
  'redshift.copy.written',
  'redshift.copy.recorded',
  'redshift.copy.committed',
] as const;

export const passing: (point: (typeof redshiftFailpoints)[number]) => void = failpoint;
