import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type AttemptProgress,
  type Command,
  decide,
  type FilesRef,
  type HeldLease,
  isMillraceError,
  type Lease,
  type LogLine,
  type PlanStage,
  type RunFacts,
  type RunRecord,
  type RunStore,
  type StageJob,
  type StageProgress,
  type StoredError,
  splitsGranted,
  stagesById,
  stageTimeout,
  storeError,
} from '@millrace/core/runtime';
import { type Redactor, redactError } from '../secrets/redact.ts';
import type { StoreRequest } from '../stage-process/message.ts';
import type { ProcessPool } from '../stage-process/pool.ts';
import type { Outcome, ProcessSpec, StageProcess } from '../stage-process/stage-process.ts';
import type { Catalog } from './catalog.ts';
import { passing } from './failpoints.ts';
import type { LogBuffer } from './log-buffer.ts';
import { readable } from './readable.ts';
import { makeAttemptSpool } from './spool.ts';

/** What attempts of one worker share. */
export interface AttemptSetting {
  readonly store: RunStore;
  readonly processes: ProcessPool;
  readonly logs: LogBuffer;
  readonly redactor: Redactor;
  readonly catalog: Catalog;
  /** Directory under which attempts get one of their own. */
  readonly spool: string;
  readonly graceMs: number;
  readonly splitConcurrency: number;
  readonly memoryBudget: number;
  readonly progress: (progress: StageProgress) => void;
}

/** One attempt at a stage, from its claim to its report. */
export class Attempt {
  readonly lease: Lease;
  /** Settles when the outcome is stored, or is nobody's business any more. */
  readonly done: Promise<void>;
  readonly #setting: AttemptSetting;
  readonly #pipeline: string;
  readonly #kind: PlanStage['kind'];
  #process: StageProcess | undefined;
  #stopped: StoredError | undefined;
  #progress: StageProgress | null = null;
  #progressStored = true;
  /** Requests of the stream that are done, and the answers on their way to the store. */
  readonly #answered = new Map<string, Promise<void>>();

  constructor(lease: Lease, run: RunRecord, setting: AttemptSetting) {
    this.lease = lease;
    this.#pipeline = run.request.pipeline;
    this.#kind = (stagesById(run.plan).get(lease.stage) as PlanStage).kind;
    this.#setting = setting;
    this.done = this.#work(run);
  }

  /** It follows a stream, and ends only when it is asked to. */
  get endless(): boolean {
    return this.#kind === 'changes';
  }

  /** For the heartbeat: progress once, where there is new. */
  held(): HeldLease {
    const { run, stage, epoch } = this.lease;
    const progress = this.#progressStored ? null : this.#progress;
    this.#progressStored = true;
    return { run, stage, epoch, progress };
  }

  /** Ends it: gently, or at once where there is no grace left. The first reason counts. */
  stop(reason: StoredError, graceMs = this.#setting.graceMs): void {
    this.#stopped ??= reason;
    this.#process?.stop(this.#stopped, graceMs);
  }

  async #work(run: RunRecord): Promise<void> {
    const outcome = await this.#outcome(run).catch((error: unknown): Outcome => ({ type: 'failed', error: storeError(error) }));
    await this.#setting.logs.flush();
    await this.#lastWords();
    passing('worker.outcome.known');
    await this.#report(outcome);
    passing('worker.outcome.stored');
  }

  async #outcome(run: RunRecord): Promise<Outcome> {
    const { store, processes, catalog } = this.#setting;
    const stage = stagesById(run.plan).get(this.lease.stage) as PlanStage;
    const job = await jobOf(run, this.lease, stage, store, this.#setting);
    const spool = join(this.#setting.spool, `${process.pid}-${run.id.slice(-6)}-${stage.id}-${this.lease.epoch}`);
    await makeAttemptSpool(spool);
    this.#process = processes.take(catalog.specOf(run) as ProcessSpec, run.plan.fingerprint);
    // Its own clock stops it; this one is for a stage that does not hear.
    const overdue =
      stage.timeoutMs === null
        ? undefined
        : setTimeout(() => this.stop(storeError(stageTimeout(stage.id, stage.timeoutMs as number))), stage.timeoutMs + 500);
    try {
      const running = this.#process.run(job, run.plan.fingerprint, spool, this);
      if (this.#stopped) this.#process.stop(this.#stopped, this.#setting.graceMs);
      const outcome = await running;
      processes.giveBack(this.#process, outcome.type === 'succeeded');
      return outcome;
    } finally {
      clearTimeout(overdue);
      this.#process = undefined;
      await rm(spool, { recursive: true, force: true, maxRetries: 3 }).catch(() => {}); // swept when a worker starts
    }
  }

  /** Where its stream was at the end, for those who ask while nobody follows it. */
  async #lastWords(): Promise<void> {
    await Promise.allSettled(this.#answered.values());
    if (this.#progress?.stream) await this.#setting.store.renew(this.lease.worker, [this.held()]).catch(() => {});
  }

  /** Until the store has it: after an outage the epoch tells whether anybody still wants to know. */
  async #report(outcome: Outcome): Promise<void> {
    const { store, redactor } = this.#setting;
    const { run, stage, epoch } = this.lease;
    const command: Command =
      outcome.type === 'succeeded'
        ? { type: 'succeed', stage, epoch, output: readable(outcome.output, redactor) }
        : outcome.error.code === 'SHUTDOWN'
          ? { type: 'release', stage, epoch }
          : { type: 'fail', stage, epoch, error: redactError(outcome.error, redactor), random: Math.random() };
    await this.#patiently(() => store.transition(run, (record, now) => decide(record, command, now)));
  }

  /** Again and again while the store is away, unless we have to go. */
  async #patiently<T>(work: () => Promise<T>): Promise<T> {
    for (let pause = 100; ; pause = Math.min(2 * pause, 5_000)) {
      try {
        return await work();
      } catch (error) {
        const goes = this.#stopped?.code === 'SHUTDOWN' || this.#stopped?.code === 'LEASE_LOST';
        if (!isMillraceError(error) || error.code !== 'STATE_UNAVAILABLE' || goes) throw error;
        await sleep(pause);
      }
    }
  }

  /** What the process says of itself: see `StageListener`. */
  progress({ progress, memory, elapsedMs }: { progress: AttemptProgress; memory: number; elapsedMs: number }): void {
    const { run, stage, epoch } = this.lease;
    this.#progress = { run, stage, epoch, ...progress, memory, elapsedMs };
    this.#progressStored = false;
    this.#setting.progress(this.#progress);
  }

  log(line: Omit<LogLine, 'run' | 'stage' | 'epoch'>): void {
    const { run, stage, epoch } = this.lease;
    this.#setting.logs.add({ run, stage, epoch, ...line });
  }

  secret(value: string): void {
    this.#setting.redactor.hide(value);
  }

  redact(text: string): string {
    return this.#setting.redactor.redact(text);
  }

  async store(request: StoreRequest): Promise<unknown> {
    const { store } = this.#setting;
    const stream = { pipeline: this.#pipeline, step: this.lease.stage };
    switch (request.type) {
      case 'plan':
        return this.#patiently(() => store.storePlan(this.lease, request.plan));
      case 'part':
        return this.#patiently(() => store.storePart(this.lease, request.part));
      case 'forget-parts':
        return this.#patiently(() => store.forgetParts(this.lease));
      case 'stream-requests': {
        // The stream does not stop because the state store is away.
        const open = await store.openRequests(stream).catch(() => []);
        return open.filter(({ id }) => !this.#answered.has(id));
      }
      case 'answer-request': {
        const { id, error } = request;
        const answer = this.#patiently(() => store.answerRequest(id, error));
        answer.catch(() => {}); // asked again by whoever follows the stream next
        this.#answered.set(id, answer);
        return undefined;
      }
      default:
        return request satisfies never;
    }
  }
}

async function jobOf(run: RunRecord, lease: Lease, stage: PlanStage, store: RunStore, setting: AttemptSetting): Promise<StageJob> {
  const { pipeline, logicalTime, date, window, params, fullRefresh, until } = run.request;
  const state = run.stages.get(stage.id)?.state;
  const grants = state?.at === 'running' ? state.grants : undefined;
  const facts: RunFacts = { id: run.id, pipeline, logicalTime, date, window, params };
  return {
    run: facts,
    runAt: run.createdAt,
    fullRefresh,
    ...(until && { until }),
    stage,
    epoch: lease.epoch,
    redone: run.stages.get(stage.id)?.redone ?? 0,
    files: filesOf(run),
    earlier: await store.earlier(run.id, stage.id),
    concurrency: splitsGranted(stage, grants, setting.splitConcurrency),
    memoryBudget: setting.memoryBudget,
  };
}

/** What the loads of this run have left, or those of an earlier run where they were not selected. */
function filesOf(run: RunRecord): Record<string, FilesRef> {
  const files: Record<string, FilesRef> = {};
  for (const { id, state } of run.stages.values()) {
    const output =
      state.at === 'succeeded'
        ? state.output
        : state.at === 'skipped' && state.because.kind === 'not-selected'
          ? state.because.output
          : null;
    if (output?.kind === 'load' && output.receipt.files) files[id] = output.receipt.files;
  }
  return files;
}
