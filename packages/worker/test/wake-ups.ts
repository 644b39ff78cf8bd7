import type { WakeUp } from '@millrace/core/runtime';
import { Queue } from 'bullmq';
import { expect, vi } from 'vitest';
import type { Dispatch } from '../src/dispatch/dispatch.ts';

export const patient = { timeout: 60_000, interval: 100 };

export const wake = (stage: string): WakeUp => ({ run: 'run-1', stage });

/** Hears the stages that are delivered. */
export function listening(dispatch: Dispatch): string[] {
  const seen: string[] = [];
  dispatch.receive(4, async ({ stage }) => void seen.push(stage ?? ''));
  return seen;
}

/** As the relay does: what the store still calls ready is sent again with every look. */
export async function sendUntilSeen(dispatch: Dispatch, seen: readonly (string | null)[], stage: string): Promise<void> {
  await vi.waitFor(async () => {
    if (!seen.includes(stage)) await dispatch.send([wake(stage)]).catch(({ code }) => expect(code).toBe('DISPATCH_UNAVAILABLE'));
    expect(seen).toContain(stage);
  }, patient);
}

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
