import { createHash } from 'node:crypto';
import { type Fence, MillraceError } from '@millrace/core/runtime';
import { passing } from './failpoints.ts';
import type { Storage } from './storage.ts';

/**
 * Epochs as objects that are only ever created, `_millrace/fence/<key>-<epoch>.json`: the highest one is the attempt that may go on.
 * The fence spares an old attempt its work. It is not what keeps the data right: an attempt that was asleep between its look at the fence and
 * its commit is harmless, because the commit creates one object that can be created once, under a load id that is in the log once;
 * because its parts carry its epoch in their names and overwrite nobody's; and because nothing it stages is ever deleted by
 * itself (`staged.ts`).
 */
const folder = '_millrace/fence/';

const hashOf = (fence: Fence): string => createHash('sha256').update(fence.key).digest('hex').slice(0, 24);
const keyOf = (fence: Fence): string => `${folder}${hashOf(fence)}-${String(fence.epoch).padStart(10, '0')}.json`;

/** @throws ATTEMPT_FENCED where a newer attempt was here · UNSUPPORTED where the store does not keep the promise of `create` */
export async function takeFence(storage: Storage, fence: Fence): Promise<void> {
  await checkFence(storage, fence);
  await storage.create(keyOf(fence), JSON.stringify(fence));
  if (await storage.create(keyOf(fence), JSON.stringify(fence))) throw unconditional(storage.url);
  passing('s3.fence.taken');
}

/** Without conditional writes two loads at once could both believe that they had committed. */
export function unconditional(url: string): MillraceError {
  return new MillraceError('UNSUPPORTED', {
    message: `The store behind ${url} takes no notice of "If-None-Match: *": a write that must not replace an object replaced it.`,
    remedy: 'Use Amazon S3, or a store with conditional writes (MinIO and R2 have them).',
  });
}

/** @throws ATTEMPT_FENCED */
export async function checkFence(storage: Storage, fence: Fence): Promise<void> {
  for await (const { key } of storage.list(`${folder}${hashOf(fence)}-`)) {
    if (key > keyOf(fence)) {
      throw new MillraceError('ATTEMPT_FENCED', {
        message: `Attempt ${fence.epoch} at ${fence.key} came too late: a newer one has taken over.`,
        remedy: 'Nothing to do: the newer attempt goes on.',
        facts: { key: fence.key, epoch: fence.epoch },
      });
    }
  }
}

/** After the commit nobody asks any more. */
export async function dropFence(storage: Storage, fence: Fence): Promise<void> {
  const keys: string[] = [];
  for await (const { key } of storage.list(`${folder}${hashOf(fence)}-`)) if (key <= keyOf(fence)) keys.push(key);
  await storage.delete(keys);
}

/** Fences of stages that never came to an end. */
export async function sweepFences(storage: Storage, before: Date): Promise<void> {
  const keys: string[] = [];
  for await (const { key, modified } of storage.list(folder)) if (modified < before) keys.push(key);
  await storage.delete(keys);
}
