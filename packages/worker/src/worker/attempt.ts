import {
  type AttemptProgress,
  type Command,
  decide,
  elsewhereProgress,
  type HeldLease,
  type Lease,
  type PlanStage,
  type RunRecord,
  type StageProgress,
  type StoredError,
  type StoredEvent,
  storeError,
  type Transition,
} from '@millrace/core/runtime';
import { type Redactor, redactError } from '../secrets/redact.ts';
import type { StoreRequest } from '../stage-process/message.ts';
import type { Outcome } from '../stage-process/stage-process.ts';
import { passing } from './failpoints.ts';
import { jobOf, stageOf } from './job.ts';
import { onward } from './onward.ts';
import { readable } from './readable.ts';
import { type SplitRequest, splitRequest } from './split-request.ts';
import { type AttemptSetting, StageRun } from './stage-run.ts';

/** What the report of an attempt has brought about. */
export interface Reported {
  /** The stage that was claimed in the same breath. */
  readonly next: { readonly lease: Lease; readonly run: RunRecord } | null;
  /** True where there may be something to do for others, or later. */
  readonly wakes: boolean;
  /** Stages that seem to be this worker's by a report whose answer was lost: this one changed nothing any more. */
  readonly strays: readonly string[];
}

/** One attempt at a stage, from its claim to its report. */
export class Attempt {
  readonly lease: Lease;
  /** Settles when the outcome is stored, or is nobody's business any more. */
  readonly done: Promise<Reported>;
  readonly #setting: AttemptSetting;
  readonly #pipeline: string;
  readonly #kind: PlanStage['kind'];
  readonly #stage: StageRun;
  /** Of limits that others may wait for. */
  readonly #granted: boolean;
  #progress: StageProgress | null = null;
  #progressStored = true;
  /** Requests of the stream that are done, and the answers on their way to the store. */
  readonly #answered = new Map<string, Promise<void>>();

  /** `mayGoOn` is asked when it has succeeded: whether its place is free for a stage that follows. */
  constructor(lease: Lease, run: RunRecord, setting: AttemptSetting, mayGoOn: () => boolean) {
    this.lease = lease;
    this.#pipeline = run.request.pipeline;
    this.#kind = stageOf(run, lease.stage).kind;
    this.#setting = setting;
    this.#stage = new StageRun(lease, setting);
    const state = run.stages.get(lease.stage)?.state;
    this.#granted = state?.at === 'running' && state.grants !== undefined;
    this.done = this.#work(run, mayGoOn);
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

  stop(reason: StoredError, graceMs?: number): void {
    this.#stage.stop(reason, graceMs);
  }

  async #work(run: RunRecord, mayGoOn: () => boolean): Promise<Reported> {
    const outcome = await this.#outcome(run).catch((error: unknown): Outcome => ({ type: 'failed', error: storeError(error) }));
    await this.#setting.logs.flush();
    await this.#lastWords();
    passing('worker.outcome.known');
    const { run: after, events } = await this.#report(outcome, mayGoOn);
    passing('worker.outcome.stored');
    if (outcome.type === 'elsewhere') this.#goesOnElsewhere(outcome);
    return this.#reported(after, events);
  }

  async #outcome(run: RunRecord): Promise<Outcome> {
    const state = run.stages.get(this.lease.stage)?.state;
    const job = await jobOf(run, this.lease, state?.at === 'running' ? state.grants : undefined, this.#setting);
    return this.#stage.outcome(
      run,
      { job, help: false, name: `${this.lease.epoch}` },
      { progress: (message) => this.#tell(message), store: (request) => this.#store(request) },
    );
  }

  /** Where its stream was at the end, for those who ask while nobody follows it. */
  async #lastWords(): Promise<void> {
    await Promise.allSettled(this.#answered.values());
    if (this.#progress?.stream) await this.#setting.store.renew(this.lease.worker, [this.held()]).catch(() => {});
  }

  /** Until the store has it: after an outage the epoch tells whether anybody still wants to know. */
  async #report(outcome: Outcome, mayGoOn: () => boolean): Promise<Transition> {
    const { store, redactor } = this.#setting;
    const { run, stage, epoch, worker } = this.lease;
    const command = commandOf(outcome, stage, epoch, redactor);
    const goesOn = command.type === 'succeed' && mayGoOn();
    return this.#stage.patiently(() =>
      store.transition(run, (record, now) => {
        const decided = decide(record, command, now);
        return goesOn ? [...decided, ...onward(record, decided, worker, now)] : decided;
      }),
    );
  }

  #reported(run: RunRecord, events: readonly StoredEvent[]): Reported {
    const { worker } = this.lease;
    const begun = events.flatMap(({ event }) => (event.type === 'stage.started' ? [event] : []))[0];
    const strays =
      events.length > 0 ? [] : [...run.stages.values()].filter(({ state }) => state.at === 'running' && state.worker === worker);
    return {
      strays: strays.map(({ id }) => id),
      next: begun ? { lease: { run: run.id, stage: begun.stage, epoch: begun.epoch, worker }, run } : null,
      wakes:
        this.#granted ||
        events.some(({ event }) =>
          event.type === 'stage.ready' ? event.stage !== begun?.stage : event.type !== 'stage.succeeded' && event.type !== 'stage.started',
        ),
    };
  }

  #goesOnElsewhere({ handle }: Extract<Outcome, { type: 'elsewhere' }>): void {
    const { run, stage, epoch } = this.lease;
    this.#setting.progress(elsewhereProgress({ run, stage, epoch, handle, status: null, progress: null, elapsedMs: 0 }));
  }

  /** What the process says of itself. */
  #tell({ progress, memory, elapsedMs }: { progress: AttemptProgress; memory: number; elapsedMs: number }): void {
    const { run, stage, epoch } = this.lease;
    this.#progress = { run, stage, epoch, ...progress, memory, elapsedMs };
    this.#progressStored = false;
    this.#setting.progress(this.#progress);
  }

  async #store(request: StoreRequest): Promise<unknown> {
    const { store } = this.#setting;
    const stream = { pipeline: this.#pipeline, step: this.lease.stage };
    switch (request.type) {
      case 'plan':
        return this.#stage.patiently(() => store.storePlan(this.lease, request.plan));
      case 'part':
        return this.#stage.patiently(() => store.storePart(this.lease, request.part));
      case 'forget-parts':
        return this.#stage.patiently(() => store.forgetParts(this.lease));
      case 'stream-requests': {
        // The stream does not stop because the state store is away.
        const open = await store.openRequests(stream).catch(() => []);
        return open.filter(({ id }) => !this.#answered.has(id));
      }
      case 'answer-request': {
        const { id, error } = request;
        const answer = this.#stage.patiently(() => store.answerRequest(id, error));
        answer.catch(() => {}); // asked again by whoever follows the stream next
        this.#answered.set(id, answer);
        return undefined;
      }
      case 'intend-remote':
        return this.#stage.patiently(() => store.remote.intend(this.lease));
      case 'remote-started': {
        const { work, handle, firstLookMs } = request;
        return this.#stage.patiently(() => store.remote.started(this.lease, work, handle, firstLookMs));
      }
      case 'offer-splits':
        return this.#stage.patiently(() => store.splits.offer(this.lease, request.splits));
      default:
        return this.#stage.patiently(() => splitRequest(request satisfies SplitRequest, this.lease, store));
    }
  }
}

function commandOf(outcome: Outcome, stage: string, epoch: number, redactor: Redactor): Command {
  switch (outcome.type) {
    case 'succeeded':
      return { type: 'succeed', stage, epoch, output: readable(outcome.output, redactor) };
    case 'elsewhere':
      return { type: 'park', stage, epoch };
    case 'failed':
      return outcome.error.code === 'SHUTDOWN'
        ? { type: 'release', stage, epoch }
        : { type: 'fail', stage, epoch, error: redactError(outcome.error, redactor), random: Math.random() };
    case 'helped':
    case 'looked':
      throw new TypeError(`an attempt has ${outcome.type}, and nobody had asked for that`);
    default:
      return outcome satisfies never;
  }
}
