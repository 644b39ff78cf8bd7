import { setTimeout as sleep } from 'node:timers/promises';

/** The last answer as long as it is fresh, and one question at a time however many ask. */
export function recent<T>(freshMs: number, ask: () => Promise<T>): () => Promise<T> {
  let asked = Number.NEGATIVE_INFINITY;
  let answer: Promise<T> | undefined;
  let asking = false;
  return () => {
    if (answer && (asking || performance.now() - asked < freshMs)) return answer;
    asking = true;
    answer = ask().finally(() => {
      asking = false;
      asked = performance.now();
    });
    return answer;
  };
}

/** Rejects where the work has not ended by then; the work goes on. */
export async function within<T>(ms: number, work: () => Promise<T>): Promise<T> {
  const done = new AbortController();
  const late = sleep(ms, undefined, { signal: done.signal, ref: false }).then(() => {
    throw new Error(`no answer within ${ms} ms`);
  });
  late.catch(() => {});
  try {
    return await Promise.race([work(), late]);
  } finally {
    done.abort();
  }
}
