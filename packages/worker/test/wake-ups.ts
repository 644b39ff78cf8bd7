import type { WakeUp } from '@millrace/core/runtime';
import { Queue } from 'bullmq';

/**
 * Puts wake-ups into the queue of a fleet on Redis, past everything of ours: each is a job of its own, so that the same one may be there
 * many times, in any order.
 */
export async function pushByHand(redis: string, wakeUps: readonly WakeUp[], fleet = 'default'): Promise<void> {
  const stages = new Queue('stages', { connection: { url: redis }, prefix: `{millrace:${fleet}}` });
  try {
    await stages.addBulk(wakeUps.map((data) => ({ name: 'wake', data, opts: { removeOnComplete: true, removeOnFail: true } })));
  } finally {
    await stages.close();
  }
}
