export type { ApplyOptions } from './apply-target.ts';
export { type RedisConnection, type RedisOptions, redis } from './connection.ts';
export { redisFailpoints } from './failpoints.ts';
export type { KeyOptions, SortedSetOptions } from './form.ts';
export { keyOf } from './key-template.ts';
export type { KeysOptions } from './load-target.ts';
