import { setTimeout as sleep } from 'node:timers/promises';
import { isMillraceError } from '@millrace/core/runtime';

/** A restart or a failover of the state database is over by then; the runs themselves wait longer. */
const patienceMs = 60_000;

/** For those who only look: asks again while the state database is away. @throws STATE_UNAVAILABLE where it stays away */
export async function patiently<T>(ask: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!isMillraceError(error) || error.code !== 'STATE_UNAVAILABLE' || performance.now() > deadline || signal?.aborted) throw error;
      await sleep(500);
    }
  }
}
