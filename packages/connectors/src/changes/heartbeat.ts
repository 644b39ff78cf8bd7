import type { Log } from '@millrace/core/runtime';

/**
 * Writes a message into the source's log while nothing else comes, so that the place of a quiet stream goes on moving and one can see that it
 * lives. A message costs some hundred bytes of log, moves the position and is no change, so it does no harm where the target is in the same server.
 */
export function startHeartbeat(parts: {
  readonly everyMs: number;
  /** Since the last change came. */
  readonly quietMs: () => number;
  readonly beat: () => Promise<void>;
  readonly log: Log;
}): Disposable {
  let isBeating = false;
  let isWell = true;
  const beat = async (): Promise<void> => {
    isBeating = true;
    try {
      await parts.beat();
      isWell = true;
    } catch (error) {
      // The stream does not depend on it; it says itself when its own connection is gone.
      if (isWell) parts.log.info('A heartbeat could not be written to the source.', { reason: String((error as Error).message) });
      isWell = false;
    } finally {
      isBeating = false;
    }
  };
  const timer = setInterval(() => {
    if (!isBeating && parts.quietMs() >= parts.everyMs) void beat();
  }, parts.everyMs);
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
