import {
  type Executor,
  isEnded,
  type LeaseState,
  type RunDetail,
  type RunId,
  type RunRecord,
  type RunStore,
  type StageRecord,
  type StoredStream,
  type StoredStreamRequest,
  type StreamKey,
  type StreamRequest,
  stepFunctionsQueue,
  type WorkerState,
} from '@millrace/core/runtime';
import { Changes } from './changes.ts';
import { type Holder, whyRunWaits, whyStageWaits } from './explain.ts';
import { patiently } from './patience.ts';
import { type LiveProgress, logLines, watch } from './watch.ts';

/** What every executor tells of runs, whoever works on them: it is all in the store. */
export interface RunViews extends Pick<Executor, 'watch' | 'list' | 'show' | 'logs'> {
  /** The run as it has ended. Rejects with the signal's reason where that aborts first. */
  finished(run: RunId, options?: { readonly signal?: AbortSignal }): Promise<RunRecord>;
  /** What was last heard of the streams of a pipeline, or of all pipelines: also of those that nobody follows now. */
  streams(pipeline?: string): Promise<StoredStream[]>;
  /** Asks a stream to copy tables again while it goes on. `streamRequest` tells when it is done. */
  requestStream(stream: StreamKey, request: Omit<StreamRequest, 'id'>): Promise<StoredStreamRequest>;
  streamRequest(id: string): Promise<StoredStreamRequest | null>;
}

export interface ViewOptions {
  /** The progress of what this process runs itself. */
  readonly live?: LiveProgress;
  /** Sizes of the environment's pools. */
  readonly pools?: Readonly<Record<string, number>> | undefined;
}

export function runViews(store: RunStore, { live = noProgress, pools = {} }: ViewOptions = {}): RunViews {
  return {
    watch: (run, { after = 0, signal } = {}) => watch(store, live, run, after, signal),
    list: (filter = {}) => store.list(filter),
    show: (run) => show(store, live, pools, run),
    logs: (run, options = {}) => logLines(store, live, run, options),
    finished: (run, { signal } = {}) => finished(store, run, signal),
    streams: (pipeline) => store.streams(pipeline),
    requestStream: (stream, request) => store.requestStream(stream, request),
    streamRequest: (id) => patiently(() => store.streamRequest(id)),
  };
}

const noProgress: LiveProgress = { of: () => undefined, subscribe: () => () => {} };

async function show(store: RunStore, live: LiveProgress, pools: Readonly<Record<string, number>>, id: RunId): Promise<RunDetail> {
  const [run, abandoned, attempts, leases, stored, works, now] = await Promise.all([
    store.read(id),
    store.abandoned(id),
    store.attempts(id),
    store.leases(id),
    store.progress(id),
    store.remote.works(id),
    store.now(),
  ]);
  const open = !isEnded(run.state);
  const queue = open ? await store.queueOf(id) : null;
  const workers = open ? await workersOf(store, queue) : [];
  const byMachine = queue === stepFunctionsQueue;
  const granted = open && run.plan.stages.some(({ limits }) => limits) ? await store.granted() : new Map<string, number>();
  const holders = granted.size > 0 ? await holdersOf(store) : new Map<string, Holder[]>();
  const circumstances = { workers, byMachine, granted, holders, pools, works, now };
  const progress = [...stored, ...(live.of(id) ?? [])];
  const stages = [...run.stages.values()].map((stage) => ({
    id: stage.id,
    state: stage.state,
    waits: open ? whyStageWaits(run, stage, { ...circumstances, lease: leaseOf(leases, stage) }) : null,
    progress:
      stage.state.at === 'running' || stage.state.at === 'elsewhere'
        ? (progress.findLast((one) => one.stage === stage.id && one.epoch === stage.epoch) ?? null)
        : null,
    attempts: attempts.filter((attempt) => attempt.stage === stage.id).map(({ stage: _, ...attempt }) => attempt),
  }));
  return { run, abandoned, stages, waits: whyRunWaits(run, { abandoned, workers, byMachine }) };
}

/** Runs that are looked through for those who hold a limit. */
const mostRuns = 100;

/** Attempts that run, here or elsewhere, and have been granted a share of a limit, by limit, those that began first before the others. */
async function holdersOf(store: RunStore): Promise<ReadonlyMap<string, readonly Holder[]>> {
  const holders = new Map<string, Holder[]>();
  for (const { id } of (await store.list({ states: ['running'], limit: mostRuns })).reverse()) {
    const { stages, request } = await store.read(id);
    for (const { id: stage, state } of stages.values()) {
      for (const key of state.at === 'running' || state.at === 'elsewhere' ? Object.keys(state.grants ?? {}) : [])
        holders.set(key, [...(holders.get(key) ?? []), { run: id, pipeline: request.pipeline, stage }]);
    }
  }
  return holders;
}

/** Those who may work on what is in a queue; null where it belongs to one process, to an execution, or to nobody. */
async function workersOf(store: RunStore, queue: string | null): Promise<readonly WorkerState[] | null> {
  return queue === null || queue === stepFunctionsQueue || queue.startsWith('local:') ? null : store.workers(queue);
}

const leaseOf = (leases: readonly LeaseState[], { id }: StageRecord): LeaseState | undefined => leases.find(({ stage }) => stage === id);

async function finished(store: RunStore, id: RunId, signal: AbortSignal | undefined): Promise<RunRecord> {
  const changes = new Changes();
  const unsubscribe = store.subscribe((run) => {
    if (run === id) changes.tell();
  });
  try {
    for (;;) {
      signal?.throwIfAborted();
      const run = await patiently(() => store.read(id), signal);
      if (isEnded(run.state)) return run;
      await changes.next(1_000, signal);
    }
  } finally {
    unsubscribe();
  }
}
