import type { WakeUp } from '@millrace/core/runtime';
import type { Dispatch } from './dispatch.ts';

/** Wake-ups within this process. One that waits already is not queued again. */
export function inlineDispatch(): Dispatch {
  const waiting = new Map<string, WakeUp>();
  let handle: ((wakeUp: WakeUp) => Promise<void>) | undefined;
  let free = 0;
  let paused = false;

  function pump(): void {
    while (handle && !paused && free > 0) {
      const [next] = waiting;
      if (!next) return;
      waiting.delete(next[0]);
      free--;
      handle(next[1])
        .catch(() => {}) // the store still knows, and the next look finds it
        .finally(() => {
          free++;
          pump();
        });
    }
  }

  return {
    async send(wakeUps) {
      for (const wakeUp of wakeUps) waiting.set(`${wakeUp.run} ${wakeUp.stage ?? ''}`, wakeUp);
      pump();
    },
    receive(places, to) {
      free = places;
      handle = to;
      pump();
    },
    pause() {
      paused = true;
      waiting.clear();
    },
    async [Symbol.asyncDispose]() {
      paused = true;
      waiting.clear();
    },
  };
}
