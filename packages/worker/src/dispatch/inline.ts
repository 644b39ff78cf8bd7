import type { WakeUp } from '@millrace/core/runtime';
import { type Dispatch, type Hint, lastPriority } from './dispatch.ts';
import { keyOf } from './key.ts';

/** Wake-ups within this process. One that waits already is not queued again. */
export function inlineDispatch(): Dispatch {
  /** The most urgent first; within a priority, those that have waited longest. */
  const lanes = new Map<number, Map<string, WakeUp>>();
  const waiting = new Set<string>();
  let handle: ((wakeUp: WakeUp) => Promise<void>) | undefined;
  let free = 0;
  let paused = false;

  function put({ run, stage, priority = 0 }: Hint): void {
    const key = keyOf({ run, stage });
    if (paused || waiting.has(key)) return;
    const place = Math.min(priority, lastPriority);
    const lane = lanes.get(place) ?? new Map<string, WakeUp>();
    lanes.set(place, lane.set(key, { run, stage }));
    waiting.add(key);
  }

  function take(): WakeUp | undefined {
    if (lanes.size === 0) return undefined;
    const place = Math.min(...lanes.keys());
    const lane = lanes.get(place);
    const [first] = lane ?? [];
    if (!lane || !first) return undefined;
    lane.delete(first[0]);
    if (lane.size === 0) lanes.delete(place);
    waiting.delete(first[0]);
    return first[1];
  }

  function pump(): void {
    while (handle && !paused && free > 0) {
      const next = take();
      if (!next) return;
      free--;
      handle(next)
        .catch(() => {}) // the store still knows, and the next look finds it
        .finally(() => {
          free++;
          pump();
        });
    }
  }

  function pause(): void {
    paused = true;
    lanes.clear();
    waiting.clear();
  }

  return {
    async send(hints) {
      for (const hint of hints) put(hint);
      pump();
    },
    receive(places, to) {
      free = places;
      handle = to;
      pump();
    },
    pause,
    depth: async () => waiting.size,
    health: { at: 'connected' },
    async [Symbol.asyncDispose]() {
      pause();
    },
  };
}
