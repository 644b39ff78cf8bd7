import type { GoesOnBy, RunId, RunStore } from '../state/index.ts';

export interface Reopenings {
  /** How often the run was reopened. */
  readonly count: number;
  /** How its machine was to go on, each time; null where nobody has said so. */
  readonly ways: readonly (GoesOnBy | null)[];
}

/** Reads it from the run's log: the first call all of it, each later one what has come since. */
export function reopeningsOf(store: Pick<RunStore, 'events'>, run: RunId): () => Promise<Reopenings> {
  const ways: (GoesOnBy | null)[] = [];
  let last = 0;
  return async () => {
    for (;;) {
      const events = await store.events(run, last, page);
      for (const { event, seq } of events) {
        if (seq <= last) continue; // another call was quicker
        last = seq;
        if (event.type === 'run.reopened') ways.push(event.by ?? null);
      }
      if (events.length < page) return { count: ways.length, ways };
    }
  };
}

/** Events, at a time. */
const page = 500;
