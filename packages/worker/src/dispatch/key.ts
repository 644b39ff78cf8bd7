import { createHash } from 'node:crypto';
import type { WakeUp } from '@millrace/core/runtime';

/** The same for the same run and stage, different for any others; without a colon, and no number, which BullMQ refuses as ids. */
export function keyOf({ run, stage }: WakeUp): string {
  const key = `${encodeURIComponent(run)}/${stage === null ? '' : `.${encodeURIComponent(stage)}`}`;
  return key.length <= 200 ? key : `${key.slice(0, 100)}/${createHash('sha256').update(key).digest('base64url')}`;
}
