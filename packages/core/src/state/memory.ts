import type { ReadPlan, StagedPart } from '../connector/index.ts';
import { evolve, newRun } from './evolve.ts';
import { memoryRemote } from './memory-remote.ts';
import { memorySplits } from './memory-splits.ts';
import type { LogLine, StageProgress } from './progress.ts';
import type { RunEvent, StoredEvent } from './run-event.ts';
import { isEnded, type RunId, type RunRecord } from './run-state.ts';
import {
  type EarlierAttempt,
  type HeldLease,
  type Lease,
  type LeaseState,
  leaseLost,
  type RenewedLease,
  type Rival,
  type RunStore,
  runNotFound,
  type Transition,
  type WakeUp,
  type WorkerState,
  wakeUpPriority,
} from './store.ts';
import type { StoredStream, StoredStreamRequest } from './stream-request.ts';
import { type AttemptDetail, attemptResult, summarise } from './summary.ts';

/** A store that forgets, for `runLocal` and tests: the same promises as the one in Postgres, for one process. */
export function memoryStore(now: () => Date = () => new Date()): RunStore {
  const runs = new Map<RunId, Kept>();
  const workers = new Map<string, WorkerState>();
  const listeners = new Set<(run: RunId) => void>();
  const logs: LogLine[] = [];
  const streams = new Map<string, StoredStream>();
  const requests = new Map<string, StoredStreamRequest>();

  const kept = (id: RunId): Kept => {
    const found = runs.get(id);
    if (found) return found;
    throw runNotFound(id);
  };
  const gone = (worker: string): boolean => !workers.has(worker);
  const unheld = (queue: string | null): boolean => queue === null || (queue.startsWith('local:') && gone(queue.slice('local:'.length)));
  const inQueue = (queue: string): Kept[] => [...runs.values()].filter((run) => run.queue === queue && !isEnded(run.record.state));
  const held = (lease: Lease): Kept => {
    const run = kept(lease.run);
    if (!holds(run, lease)) throw leaseLost(lease);
    return run;
  };

  const splits = memorySplits({
    now,
    run: (id) => kept(id).record,
    holds: (lease) => holds(kept(lease.run), lease),
    leaseMs: (worker) => workers.get(worker)?.leaseMs ?? 60_000,
    gone,
    granted: () => granted(),
    wake: ({ run, stage }) => void kept(run).outbox.push({ run, stage }),
    freed: (before) => wakeWaiting(before),
    storePart,
  });

  const remote = memoryRemote({
    now,
    run: (id) => kept(id).record,
    inQueue: (queue) => inQueue(queue).map(({ record }) => record),
    holds: (lease) => holds(kept(lease.run), lease),
    gone,
  });

  function storePart(id: RunId, stage: string, part: StagedPart): void {
    const { earlier } = kept(id);
    const before = earlier.get(stage) ?? { plan: null, parts: [] };
    earlier.set(stage, { ...before, parts: [...before.parts.filter(({ split }) => split !== part.split), part] });
  }

  function transition(id: RunId, decide: (run: RunRecord, now: Date) => readonly RunEvent[]): Transition {
    const run = kept(id);
    const at = now();
    const events = decide(run.record, at).map(
      (event, i): StoredEvent => ({ run: id, seq: run.record.seq + i + 1, at: at.toISOString(), event }),
    );
    const before = granted();
    run.record = evolve(run.record, events);
    run.events.push(...events);
    wakeWaiting(before);
    for (const { event } of events) note(run, event, at);
    if (events.length > 0) for (const listener of listeners) listener(id);
    return { run: run.record, events };
  }

  function note(run: Kept, event: RunEvent, at: Date): void {
    if (!('stage' in event)) return;
    if (event.type === 'stage.ready' || event.type === 'stage.released') run.outbox.push({ run: run.record.id, stage: event.stage });
    if (event.type === 'stage.started') {
      const { stage, worker, attempt, epoch } = event;
      run.leases.set(stage, { worker, until: at.getTime() + (workers.get(worker)?.leaseMs ?? 60_000) });
      run.attempts.push({ stage, attempt, epoch, worker, started: at.toISOString(), ended: null, result: 'running', error: null });
      return;
    }
    run.leases.delete(event.stage);
    run.progress.delete(event.stage);
    if (event.type === 'stage.elsewhere') return;
    const open = run.attempts.findIndex((attempt) => attempt.stage === event.stage && attempt.ended === null);
    const last = run.attempts[open];
    if (last)
      run.attempts[open] = { ...last, ended: at.toISOString(), result: attemptResult(event), error: 'error' in event ? event.error : null };
  }

  return {
    splits,
    remote,
    now: async () => now(),
    async create({ id, request, plan, queue }) {
      const { pipeline, idempotencyKey } = request;
      const same =
        runs.get(id) ??
        (idempotencyKey === null ? undefined : [...runs.values()].find((run) => sameRequest(run, pipeline, idempotencyKey)));
      if (same) return { run: same.record, created: false };
      const record = newRun(id, request, plan, now().toISOString());
      runs.set(id, { record, queue, events: [], outbox: [], leases: new Map(), earlier: new Map(), progress: new Map(), attempts: [] });
      return { run: transition(id, () => [{ type: 'run.queued', because: null }]).run, created: true };
    },
    read: async (id) => kept(id).record,
    transition: async (id, decide) => transition(id, decide),
    claim: async ({ run }, decide) => transition(run, (record, at) => decide(record, at, granted())),
    granted: async () => granted(),
    async admission(id, decide) {
      const { pipeline } = kept(id).record.request;
      const rivals = [...runs.values()].flatMap((run): Rival[] => {
        const other = run.record.id !== id && run.record.request.pipeline === pipeline && run.record.state.at === 'running';
        return other ? [{ run: run.record.id, abandoned: unheld(run.queue) }] : [];
      });
      return transition(id, (run, at) => decide(run, at, rivals));
    },

    async adopt(id, queue) {
      const run = kept(id);
      if (run.queue !== queue && !isEnded(run.record.state) && !unheld(run.queue)) return false;
      run.queue = queue;
      return true;
    },
    queueOf: async (id) => kept(id).queue,
    async abandon(queue) {
      for (const run of inQueue(queue)) run.queue = null;
    },

    queued: async (queue) => inQueue(queue).flatMap(({ record }) => (record.state.at === 'queued' ? [record.id] : [])),
    async ready(queue, limit, plans) {
      const found = [...priorities(queue).values()].filter(
        ({ run, stage, at }) =>
          (at === 'ready' || splits.isOpen({ run, stage })) && (plans?.includes(kept(run).record.plan.fingerprint) ?? true),
      );
      const soonest = found.sort((a, b) => a.priority - b.priority).slice(0, limit);
      return soonest.map(({ run, stage, priority }) => ({ run, stage, priority }));
    },
    async due(queue) {
      const at = now().getTime();
      const retries = inQueue(queue).flatMap(({ record }) => retryTimes(record).map((next) => ({ run: record.id, next })));
      const later = retries.filter(({ next }) => next > at).map(({ next }) => next - at);
      const due = new Set(retries.filter(({ next }) => next <= at).map(({ run }) => run));
      return { runs: [...due], nextMs: later.length === 0 ? null : Math.min(...later) };
    },
    async expired() {
      const at = now().getTime();
      return [...runs.values()].flatMap((run) =>
        leasesOf(run).flatMap(({ until, ...lease }) => (Date.parse(until) < at || gone(lease.worker) ? [lease] : [])),
      );
    },
    async drainOutbox(queue, limit) {
      const taken: WakeUp[] = [];
      for (const run of inQueue(queue)) taken.push(...run.outbox.splice(0, limit - taken.length));
      const known = priorities(queue);
      return taken.map((wakeUp) => {
        const priority = known.get(`${wakeUp.run} ${wakeUp.stage}`)?.priority;
        return { ...wakeUp, ...(priority !== undefined && { priority }) };
      });
    },

    async register(info) {
      const at = now().toISOString();
      workers.set(info.id, { ...info, startedAt: at, seenAt: at, gone: false });
      return { [Symbol.asyncDispose]: async () => void workers.delete(info.id) };
    },
    workers: async (queue) => [...workers.values()].filter((worker) => worker.queue === queue),
    async renew(worker, leases) {
      const known = workers.get(worker);
      if (known) workers.set(worker, { ...known, seenAt: now().toISOString() });
      return leases.map((lease) => renew(kept(lease.run), worker, lease));
    },

    earlier: async (id, stage) => kept(id).earlier.get(stage) ?? { plan: null, parts: [] },
    async storePlan(lease, plan) {
      const { earlier } = held(lease);
      earlier.set(lease.stage, { plan, parts: plan.continuesEarlier ? (earlier.get(lease.stage)?.parts ?? []) : [] });
    },
    async storePart(lease, part) {
      held(lease);
      storePart(lease.run, lease.stage, part);
    },
    async forgetParts(lease) {
      const { earlier } = held(lease);
      earlier.set(lease.stage, { plan: earlier.get(lease.stage)?.plan ?? null, parts: [] });
    },

    appendLogs: async (lines) => void logs.push(...lines),
    async logs(run, { stage, after = 0, limit }) {
      const found = logs
        .flatMap((line, i) => (i >= after && line.run === run && (stage === undefined || line.stage === stage) ? [i] : []))
        .slice(0, limit);
      return { lines: found.map((i) => logs[i] as LogLine), cursor: (found.at(-1) ?? after - 1) + 1 };
    },
    events: async (id, after, limit) =>
      kept(id)
        .events.filter(({ seq }) => seq > after)
        .slice(0, limit),
    async list({ pipeline, states, limit = 50, before }) {
      return [...runs.values()]
        .filter(
          ({ record }) => (pipeline === undefined || record.request.pipeline === pipeline) && (states?.includes(record.state.at) ?? true),
        )
        .map((run) => summarise(run.record, !isEnded(run.record.state) && unheld(run.queue)))
        .sort((a, b) => (madeAt(a) < madeAt(b) ? 1 : -1))
        .filter((run) => before === undefined || madeAt(run) < madeAt({ id: before, createdAt: runs.get(before)?.record.createdAt ?? '' }))
        .slice(0, limit);
    },
    async abandoned(id) {
      const run = kept(id);
      return !isEnded(run.record.state) && unheld(run.queue);
    },
    attempts: async (id) => kept(id).attempts,
    progress: async (id) => [...kept(id).progress.values(), ...remote.progress(kept(id).record)],
    streams: async (pipeline) => [...streams.values()].filter((stream) => pipeline === undefined || stream.pipeline === pipeline),
    async requestStream({ pipeline, step }, { kind, tables }) {
      const id = `request-${requests.size + 1}`;
      const request = { id, pipeline, step, kind, tables, requestedAt: now().toISOString(), answeredAt: null, error: null };
      requests.set(id, request);
      return request;
    },
    openRequests: async ({ pipeline, step }) =>
      [...requests.values()].flatMap((request) =>
        request.pipeline === pipeline && request.step === step && request.answeredAt === null
          ? [{ id: request.id, kind: request.kind, tables: request.tables }]
          : [],
      ),
    async answerRequest(id, error) {
      const request = requests.get(id);
      if (request?.answeredAt === null) requests.set(id, { ...request, answeredAt: now().toISOString(), error });
    },
    streamRequest: async (id) => requests.get(id) ?? null,
    leases: async (id) => leasesOf(kept(id)).map((lease) => ({ ...lease, workerGone: gone(lease.worker) })),
    async lastOutput(pipeline, stage) {
      const states = [...runs.values()]
        .filter(({ record }) => record.request.pipeline === pipeline)
        .map(({ record }) => record.stages.get(stage)?.state);
      const last = states.findLast((state) => state?.at === 'succeeded');
      return last?.at === 'succeeded' ? last.output : null;
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async [Symbol.asyncDispose]() {
      listeners.clear();
    },
  };

  /** Stages that may have waited for what has been given back. */
  function wakeWaiting(before: ReadonlyMap<string, number>): void {
    const after = granted();
    const free = new Set([...before].flatMap(([key, count]) => (count > (after.get(key) ?? 0) ? [key] : [])));
    if (free.size === 0) return;
    for (const { record, outbox } of runs.values())
      for (const { id, limits = [] } of record.plan.stages) {
        const waits = record.state.at === 'running' && record.stages.get(id)?.state.at === 'ready';
        if (waits && limits.some(({ kind, name }) => free.has(`${kind} ${name}`))) outbox.push({ run: record.id, stage: id });
      }
  }

  /** Of the stages of a queue that run or are ready. */
  function priorities(queue: string): Map<string, Open & { readonly priority: number }> {
    const open = inQueue(queue).flatMap(({ record }) =>
      [...record.stages.values()].flatMap(({ id, state }): Open[] =>
        state.at === 'ready' || state.at === 'running' ? [{ run: record.id, stage: id, at: state.at, since: state.since }] : [],
      ),
    );
    open.sort((a, b) => Number(b.at === 'running') - Number(a.at === 'running') || a.since.localeCompare(b.since));
    const places = new Map<string, number>();
    return new Map(
      open.map((one) => {
        const { request, plan } = kept(one.run).record;
        const place = (places.get(plan.pipeline) ?? 0) + 1;
        places.set(plan.pipeline, place);
        return [`${one.run} ${one.stage}`, { ...one, priority: wakeUpPriority(request.priority ?? plan.priority ?? 'normal', place) }];
      }),
    );
  }

  function granted(): ReadonlyMap<string, number> {
    const sums = new Map<string, number>();
    for (const { record } of runs.values())
      for (const { state } of record.stages.values())
        for (const [key, count] of Object.entries(state.at === 'running' || state.at === 'elsewhere' ? (state.grants ?? {}) : {}))
          sums.set(key, (sums.get(key) ?? 0) + count);
    for (const { grants } of splits.shares())
      for (const [key, count] of Object.entries(grants)) sums.set(key, (sums.get(key) ?? 0) + count);
    return sums;
  }

  function keepStream({ record }: Kept, progress: StageProgress): void {
    const { pipeline } = record.request;
    streams.set(JSON.stringify([pipeline, progress.stage]), { pipeline, step: progress.stage, at: now().toISOString(), progress });
  }

  function renew(run: Kept, worker: string, { stage, epoch, progress }: HeldLease): RenewedLease {
    const renewed = { run: run.record.id, stage, epoch };
    if (!holds(run, { ...renewed, worker })) return { ...renewed, fate: 'lost' };
    run.leases.set(stage, { worker, until: now().getTime() + (workers.get(worker)?.leaseMs ?? 60_000) });
    if (progress) run.progress.set(stage, progress);
    if (progress?.stream) keepStream(run, progress);
    return { ...renewed, fate: run.record.cancelRequestedAt === null ? 'held' : 'cancel-requested' };
  }
}

interface Open {
  readonly run: RunId;
  readonly stage: string;
  readonly at: 'ready' | 'running';
  readonly since: string;
}

interface Kept {
  record: RunRecord;
  queue: string | null;
  readonly events: StoredEvent[];
  readonly outbox: WakeUp[];
  readonly leases: Map<string, { readonly worker: string; readonly until: number }>;
  readonly earlier: Map<string, EarlierAttempt & { readonly plan: ReadPlan | null; readonly parts: readonly StagedPart[] }>;
  readonly progress: Map<string, StageProgress>;
  readonly attempts: (AttemptDetail & { readonly stage: string })[];
}

function holds(run: Kept, { stage, epoch, worker }: Lease): boolean {
  const state = run.record.stages.get(stage)?.state;
  return state?.at === 'running' && state.epoch === epoch && state.worker === worker;
}

function leasesOf(run: Kept): Omit<LeaseState, 'workerGone'>[] {
  return [...run.record.stages.values()].flatMap(({ id, state }) => {
    const lease = run.leases.get(id);
    if (state.at !== 'running' || !lease) return [];
    return [{ run: run.record.id, stage: id, epoch: state.epoch, worker: lease.worker, until: new Date(lease.until).toISOString() }];
  });
}

/** Sorts as runs were made. */
const madeAt = ({ createdAt, id }: { readonly createdAt: string; readonly id: RunId }): string => `${createdAt} ${id}`;

const sameRequest = (run: Kept, pipeline: string, key: string | null): boolean =>
  run.record.request.pipeline === pipeline && run.record.request.idempotencyKey === key;

const retryTimes = (run: RunRecord): number[] =>
  [...run.stages.values()].flatMap(({ state }) => (state.at === 'retrying' ? [Date.parse(state.next)] : []));
