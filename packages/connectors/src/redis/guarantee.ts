import type { TargetDescription } from '@millrace/core/runtime';
import type { RedisSettings } from './client.ts';
import { sharedTag } from './key-template.ts';

/** Over the slots of a cluster no act can hold everything, and what was written to one shard may be lost by itself. */
export function guaranteeOf(
  { cluster, replicas }: RedisSettings,
  keys: readonly string[],
): Pick<TargetDescription, 'guarantee' | 'promise'> {
  if (!cluster || sharedTag(keys) !== null)
    return { guarantee: 'exactly-once', promise: 'position, fence and keys change in one script; nothing older is ever written over them' };
  return {
    guarantee: 'at-least-once',
    promise: `in order and slot by slot, each behind a fence; ${replicas > 0 ? `${replicas} replicas have it before it is let go` : 'a shard that fails over may lose what it was told last'}`,
  };
}
