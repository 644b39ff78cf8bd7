/** Thrown by `within`. What was waited for may still happen. */
export class Overdue extends Error {}

/** Waits this long and no longer, nor after `until` is aborted; leaves no timer behind. */
export async function within<T>(ms: number, what: string, work: Promise<T>, until?: AbortSignal): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let stop = (): void => {};
  work.catch(() => {}); // when it fails later than we wait, nobody listens any more
  try {
    return await Promise.race([
      work,
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Overdue(`${what} took longer than ${ms} ms`)), ms);
        stop = () => reject(new Overdue(`${what} was not waited for any longer`));
        if (until?.aborted) stop();
        until?.addEventListener('abort', stop); // AbortSignal.any would keep something of every call as long as `until` lives
      }),
    ]);
  } finally {
    until?.removeEventListener('abort', stop);
    clearTimeout(timer);
  }
}

/** The same where it does not matter how it ends. */
export const atMost = (ms: number, work: Promise<unknown>): Promise<void> =>
  within(ms, '', work).then(
    () => {},
    () => {},
  );
