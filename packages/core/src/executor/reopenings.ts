import type { GoesOnBy, RunId, RunStore } from '../state/index.ts';

export interface Reopenings {
  /** How often the run was reopened. */
  readonly count: number;
  /** How its machine was to go on the last time; null where nobody has said so. */
  readonly by: GoesOnBy | null;
}

/** Reads it from the run's log: the first call all of it, each later one what has come since. */
export function reopeningsOf(store: Pick<RunStore, 'events'>, run: RunId): () => Promise<Reopenings> {
  let known: Reopenings = { count: 0, by: null };
  let last = 0;
  return async () => {
    for (;;) {
      const events = await store.events(run, last, page);
      for (const { event, seq } of events) {
        if (seq <= last) continue; // another call was quicker
        last = seq;
        if (event.type === 'run.reopened') known = { count: known.count + 1, by: event.by ?? null };
      }
      if (events.length < page) return known;
    }
  };
}

/** Events, at a time. */
const page = 500;
