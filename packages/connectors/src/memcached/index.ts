export type { ApplyOptions } from './apply-target.ts';
export { type MemcachedConnection, type MemcachedOptions, memcached } from './connection.ts';
export type { KeyOptions } from './form.ts';
export type { KeysOptions } from './load-target.ts';

import { keyOf as keyOfTemplate } from '../redis/key-template.ts';

/** For those who read the cache: `keyOf('order:<id>', { id: '42' })`. Values are text, as Postgres prints them. */
export const keyOf = (template: string, values: Readonly<Record<string, string>>): string => keyOfTemplate(template, values, 'memcached');
