import { setTimeout as sleep } from 'node:timers/promises';

/** How long a thing that was just started may be missing from what its service lists. */
export const settlesMs = 5_000;

/** Pauses between looks, as shares of all the time there is. */
const pauses = [1, 2, 4, 8, 16].map((share) => share / 31);

/**
 * Looks for what may have been started a moment ago. A service lists it with a delay, so "not there" is believed only after six looks in
 * `ms`; this is asked only where the answer to a start was lost.
 */
export async function listed<Found>(look: () => Promise<Found | null>, ms: number, signal: AbortSignal): Promise<Found | null> {
  let found = await look();
  for (const pause of pauses) {
    if (found !== null) break;
    await sleep(pause * ms, undefined, { signal });
    found = await look();
  }
  return found;
}
