import { setTimeout as sleep } from 'node:timers/promises';

/** Thrown by `within`. What was waited for may still happen. */
export class Overdue extends Error {}

/** Waits this long and no longer, nor after `until` is aborted; leaves no timer behind. */
export async function within<T>(ms: number, what: string, work: Promise<T>, until?: AbortSignal): Promise<T> {
  const done = new AbortController();
  const stop = () => done.abort();
  if (until?.aborted) stop();
  until?.addEventListener('abort', stop); // AbortSignal.any would keep something of every call as long as `until` lives
  work.catch(() => {}); // when it fails later than we wait, nobody listens any more
  try {
    return await Promise.race([
      work,
      sleep(ms, undefined, { signal: done.signal }).then(() => {
        throw new Overdue(`${what} took longer than ${ms} ms`);
      }),
    ]);
  } finally {
    until?.removeEventListener('abort', stop);
    done.abort();
  }
}

/** The same where it does not matter how it ends. */
export const atMost = (ms: number, work: Promise<unknown>): Promise<void> =>
  within(ms, '', work).then(
    () => {},
    () => {},
  );
