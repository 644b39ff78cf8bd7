import { setTimeout as sleep } from 'node:timers/promises';

/** Waits until it holds, but no longer than so many milliseconds of the clock: on a busy machine a pause takes longer than it was to. */
export async function until(holds: () => boolean, patienceMs: number): Promise<void> {
  for (const end = Date.now() + patienceMs; !holds() && Date.now() < end; ) await sleep(20);
}
