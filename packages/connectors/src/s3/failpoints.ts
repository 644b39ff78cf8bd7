import { failpoint } from '@millrace/core/runtime';

/** What a load into files was doing. A crash at any of them costs time, never rows, and doubles none. */
export const s3Failpoints = [
  's3.fence.taken',
  's3.part.converted',
  's3.part.noted',
  's3.part.uploaded',
  's3.commit.begun',
  's3.commit.written',
  's3.commit.tidied',
] as const;

export type S3Failpoint = (typeof s3Failpoints)[number];

export const passing: (point: S3Failpoint) => void = failpoint;
