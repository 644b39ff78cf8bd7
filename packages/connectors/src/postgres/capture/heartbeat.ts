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
  const timer = setInterval(() => {
    if (isBeating || parts.quietMs() < parts.everyMs) return;
    isBeating = true;
    parts
      .beat()
      .catch((error: unknown) => {
        // The stream does not depend on it; a connection that is gone is told by the stream itself.
        clearInterval(timer);
        parts.log.info('No heartbeats are written to the source any more.', { reason: String((error as Error).message) });
      })
      .finally(() => {
        isBeating = false;
      });
  }, parts.everyMs);
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
