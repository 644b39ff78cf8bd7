import { failpoint } from '@millrace/core/runtime';

/** What a sink of Redis was doing. A crash at any of them costs time, never a row, and doubles none. */
export const redisFailpoints = [
  'redis.taken',
  'redis.followed',
  'redis.staged',
  'redis.act.before',
  'redis.act.after',
  'redis.promise.before',
  'redis.promise.after',
  'redis.log.worked',
  'redis.copied',
] as const;

export const passing: (point: (typeof redisFailpoints)[number]) => void = failpoint;
