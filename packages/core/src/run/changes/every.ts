import type { Context } from '../../connector/index.ts';

/** Again and again, one at a time, now for the first time. What fails is logged: whoever reads the stream will hear of it. */
export function every(milliseconds: number, what: string, work: () => Promise<void>, { signal, log }: Context): Disposable {
  let running = false;
  const turn = async (): Promise<void> => {
    if (running || signal.aborted) return;
    running = true;
    try {
      await work();
    } catch (error) {
      if (!signal.aborted) log.warn(`${what} failed: ${error instanceof Error ? error.message : String(error)}`);
    }
    running = false;
  };
  void turn();
  const timer = setInterval(() => void turn(), milliseconds);
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
