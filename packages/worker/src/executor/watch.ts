import type { LogLine, RunId, RunStore, StageProgress, WatchEvent } from '@millrace/core/runtime';
import { Changes } from './changes.ts';
import { patiently } from './patience.ts';

/** Progress of the stages that this process runs, as it comes. */
export interface LiveProgress {
  /** Undefined where this process does not work on the run. */
  of(run: RunId): readonly StageProgress[] | undefined;
  subscribe(listener: (progress: StageProgress) => void): () => void;
}

const page = 500;
/** How often to look without having been told, and how often at the stored progress of another process. */
const lookMs = 1_000;
const progressMs = 2_000;

/** Events, logs and progress of a run, each once and in its order, until the run has ended. */
export async function* watch(
  store: RunStore,
  live: LiveProgress,
  run: RunId,
  after: number,
  signal?: AbortSignal,
): AsyncGenerator<WatchEvent, void, undefined> {
  const changes = new Changes();
  const moved = new Map<string, StageProgress>();
  let dirty = true;
  const unsubscribe = [
    store.subscribe((changed) => {
      if (changed !== run) return;
      dirty = true;
      changes.tell();
    }),
    live.subscribe((progress) => {
      if (progress.run !== run) return;
      moved.set(progress.stage, progress);
      changes.tell();
    }),
  ];
  try {
    await patiently(() => store.read(run), signal); // RUN_NOT_FOUND
    let seq = after;
    let cursor = 0;
    let lastLook = 0;
    let lastProgress = 0;
    let ended = false;
    while (!signal?.aborted) {
      if (dirty || performance.now() - lastLook >= lookMs) {
        dirty = false;
        lastLook = performance.now();
        // Logs first: those of an attempt are stored before its outcome is.
        for (;;) {
          const { lines, cursor: next } = await patiently(() => store.logs(run, { after: cursor, limit: page }), signal);
          cursor = next;
          for (const line of lines) yield { kind: 'log', ...line };
          if (lines.length < page) break;
        }
        const events = await patiently(() => store.events(run, seq, page), signal);
        for (const event of events) {
          seq = event.seq;
          ended = endsRun(event.event.type, ended);
          yield { kind: 'event', ...event };
        }
        if (events.length === page) continue;
        if (ended) return;
      }
      for (const progress of moved.values()) yield { kind: 'progress', ...progress };
      moved.clear();
      if (live.of(run) === undefined && performance.now() - lastProgress >= progressMs) {
        lastProgress = performance.now();
        for (const progress of await patiently(() => store.progress(run), signal)) yield { kind: 'progress', ...progress };
      }
      if (!dirty && moved.size === 0) await changes.next(lookMs, signal);
    }
  } finally {
    for (const stop of unsubscribe) stop();
  }
}

const ends: ReadonlySet<string> = new Set(['run.succeeded', 'run.partial', 'run.failed', 'run.cancelled']);

const endsRun = (type: string, before: boolean): boolean => ends.has(type) || (before && type !== 'run.reopened');

/** The lines of a run so far, and with `follow` those that come until it has ended. */
export async function* logLines(
  store: RunStore,
  live: LiveProgress,
  run: RunId,
  { stage, follow = false, signal }: { readonly stage?: string; readonly follow?: boolean; readonly signal?: AbortSignal },
): AsyncGenerator<LogLine, void, undefined> {
  await store.read(run);
  if (follow) {
    for await (const { kind, ...event } of watch(store, live, run, 0, signal)) {
      if (kind === 'log' && (stage === undefined || (event as LogLine).stage === stage)) yield event as LogLine;
    }
    return;
  }
  const of = stage === undefined ? {} : { stage };
  for (let after = 0; ; ) {
    const { lines, cursor } = await store.logs(run, { ...of, after, limit: page });
    yield* lines;
    if (lines.length < page) return;
    after = cursor;
  }
}
