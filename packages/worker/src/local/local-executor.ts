import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  decide,
  followsChanges,
  isEnded,
  makeRunId,
  type Plan,
  type Rival,
  type RunId,
  type RunRecord,
  type RunStore,
  runRequest,
  type StageProgress,
  type Started,
  type StartRequest,
  stagesWith,
} from '@millrace/core/runtime';
import { inlineDispatch } from '../dispatch/inline.ts';
import { held, noRoom, planChanged, streamHeld } from '../executor/refusals.ts';
import { type RunViews, runViews } from '../executor/views.ts';
import type { LiveProgress } from '../executor/watch.ts';
import { redactor } from '../secrets/redact.ts';
import { postgresStore } from '../store/postgres-store.ts';
import { passing } from '../worker/failpoints.ts';
import { Worker } from '../worker/worker.ts';
import type { LocalExecutor, LocalOptions } from './options.ts';

/** @throws STATE_UNAVAILABLE, STATE_VERSION */
export async function localExecutor(options: LocalOptions): Promise<LocalExecutor> {
  const opened = await postgresStore(options.state);
  const store = options.watch?.(opened) ?? opened;
  const live = new Live();
  const local = new Local(store, options, live);
  return {
    kind: 'local',
    ...runViews(store, { live, pools: options.environment?.pools }),
    start: (request) => local.start(request),
    resume: (run) => local.resume(run),
    retry: (run, from) => local.retry(run, from),
    cancel: (run) => local.cancel(run),
    drain: () => local.drain(),
    [Symbol.asyncDispose]: () => local[Symbol.asyncDispose](),
  };
}

/** What this process does itself; what it tells of runs is in `runViews`. */
type Work = Omit<LocalExecutor, 'kind' | keyof RunViews>;

const defaultConcurrency = 2;
const defaultMemory = 256;
/** How long somebody who cancels waits for services to end what they do; it goes on as long as this process lives. */
const endingMs = 60_000;
const mebibyte = 1024 * 1024;

class Local implements Work {
  readonly #store: RunStore;
  readonly #options: LocalOptions;
  readonly #directory: string;
  readonly #live: Live;
  readonly #id = `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`;
  #worker: Promise<Worker> | undefined;
  #closed: Promise<void> | undefined;

  constructor(store: RunStore, options: LocalOptions, live: Live) {
    this.#store = store;
    this.#live = live;
    this.#options = options;
    this.#directory = resolve(options.directory ?? '.');
  }

  async start(request: StartRequest): Promise<Started> {
    const file = resolve(request.file);
    const worker = await this.#working();
    const plan = request.plan ?? (await worker.processes.plan(this.#spec(file)));
    if (!this.#options.fileOf) worker.processes.warm(this.#spec(file), plan.fingerprint);
    if (followsChanges(plan) && request.idempotencyKey === undefined)
      return { run: await this.#startStream({ ...request, file }, plan), continued: false };
    if (request.unfinished !== 'queue' && request.idempotencyKey === undefined) {
      const left = await this.#leftBehind(plan);
      if (left) return { run: left, continued: true };
    }
    const made = await this.#create({ ...request, file }, plan);
    if (made.created) worker.nudge();
    else await this.#takeUp(made.run.id); // where nobody works on it
    return { run: made.run, continued: !made.created };
  }

  async #create(request: StartRequest, plan: Plan): ReturnType<RunStore['create']> {
    const now = await this.#store.now();
    const made = await this.#store.create({
      id: makeRunId(now, Math.random),
      request: await runRequest(request, plan, this.#store, now),
      plan,
      queue: this.#queue,
    });
    passing('worker.run.created');
    return made;
  }

  /**
   * A run that follows changes begins at once or not at all. One that was left behind is ended: all that it knew is at the targets.
   *
   * @throws RUN_HELD
   */
  async #startStream(request: StartRequest, plan: Plan): Promise<RunRecord> {
    const streams = plan.stages.filter(({ kind }) => kind === 'changes').length;
    if (streams > this.#places) throw noRoom(plan.pipeline, streams, this.#places);
    const holder = await this.#endLeftBehind(plan.pipeline);
    if (holder !== undefined) throw streamHeld(plan.pipeline, holder);
    // Two that come at once both get here; admission is one at a time.
    const { run } = await this.#create(request, plan);
    for (;;) {
      const rival = await this.#admitAlone(run.id);
      if (rival === undefined) break;
      if (!rival.abandoned) {
        await this.cancel(run.id);
        throw streamHeld(plan.pipeline, rival.run);
      }
      await this.#endLeftBehind(plan.pipeline);
      await sleep(100); // its stage may have to be lost first
    }
    if (request.fullRefresh) await this.#answerAll(plan);
    await this.#working().then((worker) => worker.nudge());
    return this.#store.read(run.id);
  }

  /** Answers the run that somebody works on, where there is one. */
  async #endLeftBehind(pipeline: string): Promise<RunId | undefined> {
    const open = await this.#store.list({ pipeline, states: ['queued', 'running'], limit: 1000 });
    for (const { id, abandoned } of open) if (abandoned) await this.cancel(id);
    return open.find(({ state, abandoned }) => state.at === 'running' && !abandoned)?.id;
  }

  /** Admits the run, or answers which one stands in its way. */
  async #admitAlone(id: RunId): Promise<Rival | undefined> {
    let rival: Rival | undefined;
    await this.#store.admission(id, (record, now, rivals) => {
      rival = record.state.at === 'queued' ? (rivals.find(({ abandoned }) => !abandoned) ?? rivals[0]) : undefined;
      return decide(record, { type: 'admit', rivals, limit: 1 }, now);
    });
    return rival;
  }

  /** What was asked of the stream while nobody followed it: everything is copied again anyway. */
  async #answerAll({ pipeline, stages }: Plan): Promise<void> {
    for (const { id: step } of stages.filter(({ kind }) => kind === 'changes'))
      for (const { id } of await this.#store.openRequests({ pipeline, step })) await this.#store.answerRequest(id, null);
  }

  /** The oldest unfinished run of the pipeline that nobody works on; ours from here on. */
  async #leftBehind(plan: Plan): Promise<RunRecord | undefined> {
    const open = await this.#store.list({ pipeline: plan.pipeline, states: ['queued', 'running'], limit: 1000 });
    const left = open.filter(({ abandoned }) => abandoned).reverse();
    for (const { id, state, cancelRequestedAt } of left.sort(
      (a, b) => Number(b.state.at === 'running') - Number(a.state.at === 'running'),
    )) {
      if (cancelRequestedAt !== null) {
        await this.#endCancelled(id);
        continue;
      }
      const run = await this.#store.read(id);
      if (run.plan.fingerprint !== plan.fingerprint) {
        // One that has not begun stands in nobody's way.
        if (state.at === 'queued') continue;
        throw planChanged(run);
      }
      if (await this.#takeUp(id)) return this.#store.read(id);
    }
    return undefined;
  }

  async resume(id: RunId): Promise<RunRecord> {
    return this.#goOn(id, []);
  }

  async retry(id: RunId, { from }: { readonly from?: string } = {}): Promise<RunRecord> {
    const run = await this.#store.read(id);
    return this.#goOn(id, from === undefined ? [] : stagesWith(run.plan, from));
  }

  async #goOn(id: RunId, from: readonly string[]): Promise<RunRecord> {
    const run = await this.#store.read(id);
    const worker = await this.#working();
    const file = this.#fileOf(run);
    if (file !== null) {
      const { fingerprint } = await worker.processes.plan(this.#spec(file));
      if (fingerprint !== run.plan.fingerprint) throw planChanged(run);
    }
    if (!isEnded(run.state) && run.cancelRequestedAt !== null && (await this.#store.abandoned(id))) await this.#endCancelled(id);
    if (!(await this.#takeUp(id))) throw held(run);
    const { run: after } = await this.#store.transition(id, (record, now) => decide(record, { type: 'reopen', from }, now));
    worker.nudge();
    return after;
  }

  async #takeUp(id: RunId): Promise<boolean> {
    const worker = await this.#working();
    const taken = await this.#store.adopt(id, this.#queue);
    if (taken) worker.takeUp();
    return taken;
  }

  async cancel(id: RunId): Promise<RunRecord> {
    await this.#store.transition(id, (record, now) => decide(record, { type: 'cancel' }, now));
    if (await this.#store.abandoned(id)) await this.#endCancelled(id);
    return this.#store.read(id);
  }

  /** Nobody is there to say that its stages have stopped. Work that goes on elsewhere is ended from here, which may take a while. */
  async #endCancelled(id: RunId): Promise<void> {
    for (const { stage, epoch, workerGone } of await this.#store.leases(id)) {
      if (workerGone) await this.#store.transition(id, (record, now) => decide(record, { type: 'lose', stage, epoch }, now));
    }
    const goesOn = ({ state, stages }: RunRecord): boolean =>
      !isEnded(state) && [...stages.values()].some((stage) => stage.state.at === 'elsewhere');
    if (!goesOn(await this.#store.read(id)) || !(await this.#takeUp(id))) return;
    const end = performance.now() + endingMs;
    while (performance.now() < end && goesOn(await this.#store.read(id))) await sleep(100);
  }

  async drain(): Promise<void> {
    await (await this.#worker?.catch(() => undefined))?.drain();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.drain().finally(() => this.#store[Symbol.asyncDispose]());
    return this.#closed;
  }

  /** Stages side by side. */
  get #places(): number {
    return this.#options.environment?.concurrency ?? defaultConcurrency;
  }

  get #queue(): string {
    return `local:${this.#id}`;
  }

  /** Whoever only asks needs no worker. */
  #working(): Promise<Worker> {
    const { environment = {}, leaseMs = 60_000, graceMs = 10_000 } = this.#options;
    this.#worker ??= Worker.start({
      store: this.#store,
      dispatch: inlineDispatch(),
      id: this.#id,
      queue: this.#queue,
      alone: true,
      ownDispatch: true,
      pools: environment.pools ?? {},
      leaseMs,
      graceMs,
      finishMs: 0,
      places: this.#places,
      memory: (environment.memory ?? defaultMemory) * mebibyte,
      redactor: redactor(),
      catalog: { specOf: (run) => this.#spec(this.#fileOf(run) ?? '') },
      directory: this.#directory,
      progress: (progress) => this.#live.tell(progress),
      trace: this.#options.trace,
    });
    return this.#worker;
  }

  #fileOf(run: RunRecord): string | null {
    return this.#options.fileOf?.(run) ?? run.request.file;
  }

  #spec(file: string) {
    return { file, directory: this.#directory, sources: this.#options.environment?.secrets ?? (['.env', 'env'] as const) };
  }
}

/** The newest progress of each stage that runs here. */
class Live implements LiveProgress {
  readonly #newest = new Map<string, StageProgress>();
  readonly #listeners = new Set<(progress: StageProgress) => void>();

  tell(progress: StageProgress): void {
    this.#newest.set(`${progress.run} ${progress.stage}`, progress);
    for (const listener of this.#listeners) listener(progress);
  }

  of(run: RunId): readonly StageProgress[] | undefined {
    const found = [...this.#newest.values()].filter((progress) => progress.run === run);
    return found.length === 0 ? undefined : found;
  }

  subscribe(listener: (progress: StageProgress) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}
