import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  decide,
  grantsOf,
  isMillraceError,
  type Lease,
  type RunRecord,
  type RunStore,
  type StageProgress,
  type WakeUp,
  type WorkerHold,
} from '@millrace/core/runtime';
import type { Dispatch } from '../dispatch/dispatch.ts';
import type { Redactor } from '../secrets/redact.ts';
import { ProcessPool } from '../stage-process/pool.ts';
import { Attempt, type Reported } from './attempt.ts';
import type { Catalog } from './catalog.ts';
import { Crowd } from './crowd.ts';
import { passing } from './failpoints.ts';
import { Heartbeat } from './heartbeat.ts';
import { Help } from './help.ts';
import { stageOf } from './job.ts';
import { LogBuffer } from './log-buffer.ts';
import { Relay } from './relay.ts';
import { openSpool, spoolOf } from './spool.ts';
import type { AttemptSetting } from './stage-run.ts';
import { shutdown } from './stops.ts';
import { Watch } from './watch.ts';

export interface WorkerOptions {
  readonly store: RunStore;
  readonly dispatch: Dispatch;
  readonly id: string;
  /** Whose runs it works on. */
  readonly queue: string;
  /** True where nobody else works on them: they belong to nobody when it stops. */
  readonly alone: boolean;
  readonly leaseMs: number;
  /** How long a stage that is asked to stop may take before it is killed. */
  readonly graceMs: number;
  /** How long a drain lets stages come to their own end before it asks them to stop. Streams have none: they are asked at once. */
  readonly finishMs: number;
  /** True where only this process hears what it sends: then others on the queue must not be kept from it. */
  readonly ownDispatch: boolean;
  /** Stages side by side. */
  readonly places: number;
  /** Bytes for all of them together. */
  readonly memory: number;
  /** Stages of each pool that may run at once, wherever. */
  readonly pools: Readonly<Record<string, number>>;
  readonly redactor: Redactor;
  readonly catalog: Catalog;
  /** The project's directory; attempts keep temporary files in its `.millrace/spool`. */
  readonly directory: string;
  readonly progress: (progress: StageProgress) => void;
  /** The span of an attempt that this worker has begun, as a traceparent: what its code traces hangs under it. */
  readonly trace?: ((attempt: Lease) => string | null) | undefined;
}

/** Splits of a stage side by side: with more, one process decodes no faster. */
const splitConcurrency = 4;
const pollMs = 5_000;
/** With what spreads it, a lease that is over is found within four seconds. */
const sweepMs = 3_000;
const hintMs = 200;
const mostUnhelped = 1_000;

/** Claims stages of its queue and runs them, each in a process of its own; says that it lives; takes up what others have left. */
export class Worker implements AsyncDisposable {
  readonly id: string;
  readonly processes: ProcessPool;
  readonly #options: WorkerOptions;
  readonly #hold: WorkerHold;
  readonly #attempts = new Set<Attempt>();
  readonly #helps = new Set<Help>();
  /** Attempts that could not be helped from here; trying again would end the same way. */
  readonly #unhelped = new Map<string, number>();
  /** From the wake-up until its place is free again: claims on their way, and what follows them. */
  readonly #handling = new Set<Promise<void>>();
  readonly #logs: LogBuffer;
  readonly #heartbeat: Heartbeat;
  readonly #crowd: Crowd;
  readonly #relay: Relay;
  readonly #watch: Watch;
  readonly #unsubscribe: () => void;
  #drained: Promise<void> | undefined;
  #kill: () => void = () => {};
  readonly #killed = new Promise<void>((resolve) => {
    this.#kill = resolve;
  });

  static async start(options: WorkerOptions): Promise<Worker> {
    const { store, id, leaseMs, queue, catalog } = options;
    await openSpool(options.directory);
    const label = `process ${process.pid} on ${hostname()}`;
    return new Worker(options, await store.register({ id, label, leaseMs, queue, ...(catalog.plans && { plans: catalog.plans }) }));
  }

  private constructor(options: WorkerOptions, hold: WorkerHold) {
    const { store, dispatch, id, queue, alone, leaseMs, ownDispatch, places, catalog } = options;
    const room = ownDispatch && !alone ? places : undefined;
    this.id = id;
    this.#options = options;
    this.#hold = hold;
    this.processes = new ProcessPool(places);
    this.#logs = new LogBuffer(store);
    this.#heartbeat = new Heartbeat(store, id, leaseMs, this.#attempts, this.#helps);
    // Without a queue that all of them share nobody knows who waits.
    this.#crowd = new Crowd(room === undefined ? dispatch : null);
    this.#relay = new Relay({ store, dispatch, queue, plans: catalog.plans, room, pollMs, sweepMs, hintMs: alone ? 0 : hintMs });
    this.#watch = new Watch({
      setting: this.#setting(),
      worker: id,
      queue,
      plans: catalog.plans,
      pollMs,
      hintMs: alone ? 0 : hintMs,
      changed: () => this.#relay.nudge(),
    });
    dispatch.receive(places, (wakeUp) => {
      const handling = this.#handle(wakeUp).finally(() => this.#handling.delete(handling));
      this.#handling.add(handling);
      return handling;
    });
    this.#unsubscribe = store.subscribe((run) => this.#changed(run));
  }

  /** It is at something: a claim, an attempt, or help with one. */
  get busy(): boolean {
    return this.#handling.size > 0;
  }

  /** Something may have changed. */
  nudge(): void {
    this.#relay.nudge();
  }

  /** Runs that others have left are ours now. */
  takeUp(): void {
    this.#relay.lookAll();
    this.#watch.nudge();
  }

  /**
   * Stops: nothing is claimed any more; what runs has its time to end, is then asked to, and is given back without an attempt spent.
   * Called again it kills what has not ended.
   */
  drain(): Promise<void> {
    if (this.#drained) {
      void this.#watch.stop(0);
      for (const work of [...this.#attempts, ...this.#helps]) work.stop(shutdown, 0);
      this.#kill();
    }
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  async #drain(): Promise<void> {
    const { store, dispatch, queue, alone, finishMs, graceMs } = this.#options;
    dispatch.pause();
    await this.#relay.stop();
    this.#unsubscribe();
    const attempts = [...this.#attempts];
    const helps = [...this.#helps];
    const ended = Promise.allSettled(this.#handling);
    const watched = this.#watch.stop(graceMs);
    for (const attempt of attempts) if (attempt.endless || finishMs === 0) attempt.stop(shutdown);
    for (const help of helps) help.finish();
    await Promise.race([ended, this.#killed, sleep(finishMs, undefined, { ref: false })]);
    for (const work of [...attempts, ...helps]) work.stop(shutdown);
    // A claim that was on its way has been stopped as it came; one that does not come back is not waited for.
    await Promise.allSettled([...attempts, ...helps].map(({ done }) => done));
    await Promise.race([ended, this.#killed, sleep(graceMs, undefined, { ref: false })]);
    await watched;
    await this.#heartbeat.stop();
    await this.#logs.flush();
    await this.processes[Symbol.asyncDispose]();
    // Without the store they count as left behind as soon as our hold is gone.
    if (alone) await store.abandon(queue).catch(() => {});
    await this.#hold[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain();
  }

  #changed(run: string): void {
    this.#relay.hint();
    this.#watch.hint();
    const leases = [...[...this.#attempts].map(({ lease }) => lease), ...[...this.#helps].map(({ share }) => share)];
    if (leases.some((lease) => lease.run === run)) this.#heartbeat.hint();
  }

  /** Claims the stage, where it is still to be had and is ours to run, and sees it through. */
  async #handle({ run, stage }: WakeUp): Promise<void> {
    if (stage === null || this.#drained) return;
    const { store, catalog, pools } = this.#options;
    const claiming = store.claim({ run, stage }, (record, now, used) =>
      catalog.specOf(record) === null
        ? []
        : decide(record, { type: 'claim', stage, worker: this.id, room: { used, pools, connections: splitConcurrency } }, now),
    );
    claiming.catch(() => this.#giveBack(run, stage));
    const claim = await claiming;
    const started = claim.events.find(({ event }) => event.type === 'stage.started')?.event;
    if (started?.type !== 'stage.started') return this.#help(claim.run, stage);
    const since = this.#crowd.begin();
    let next: Reported['next'] = { lease: { run, stage, epoch: started.epoch, worker: this.id }, run: claim.run };
    while (next) next = await this.#attempt(next.lease, next.run, () => !this.#drained && this.#crowd.mayGoOn(since));
  }

  /**
   * A claim may have been made though its answer was lost: nobody would work under it until its lease is over. After a pause, in which an
   * attempt that is just beginning has begun.
   */
  async #giveBack(run: string, stage: string): Promise<void> {
    for (let pause = 100; !this.#drained; pause = Math.min(2 * pause, pollMs)) {
      await sleep(pause, undefined, { ref: false });
      try {
        await this.#options.store.transition(run, (record, now) => {
          const state = record.stages.get(stage)?.state;
          if (state?.at !== 'running' || state.worker !== this.id) return [];
          const held = [...this.#attempts].some(({ lease }) => lease.run === run && lease.stage === stage && lease.epoch === state.epoch);
          return held ? [] : decide(record, { type: 'release', stage, epoch: state.epoch }, now);
        });
        return;
      } catch (error) {
        if (!isMillraceError(error) || error.code !== 'STATE_UNAVAILABLE') return;
      }
    }
  }

  /** Answers the stage that its report has claimed. */
  async #attempt(lease: Lease, run: RunRecord, mayGoOn: () => boolean): Promise<Reported['next']> {
    passing('worker.stage.claimed');
    const attempt = new Attempt(lease, run, this.#setting(), mayGoOn);
    this.#attempts.add(attempt);
    this.#heartbeat.began(attempt);
    if (this.#drained) attempt.stop(shutdown);
    let wakes = true;
    try {
      const reported = await attempt.done;
      wakes = reported.wakes;
      for (const stray of reported.strays) void this.#giveBack(lease.run, stray);
      return reported.next;
    } catch (error) {
      // Its lease runs out, and the stage is run again; but somebody should know.
      if (!isMillraceError(error)) process.emitWarning(error instanceof Error ? error : String(error));
      return null;
    } finally {
      this.#attempts.delete(attempt);
      if (wakes) this.#relay.nudge();
      if (stageOf(run, lease.stage).kind === 'remote') this.#watch.nudge();
    }
  }

  /** Helps the attempt at the stage that runs, where it needs help that can be given from here. */
  async #help(run: RunRecord, stage: string): Promise<void> {
    const state = run.stages.get(stage)?.state;
    const { store, catalog, pools, alone } = this.#options;
    const attempt = `${run.id} ${stage}`;
    if (alone || state?.at !== 'running' || stageOf(run, stage).kind !== 'rows' || catalog.specOf(run) === null) return;
    if (this.#unhelped.get(attempt) === state.epoch) return;
    const share = await store.splits.join({ run: run.id, stage }, this.id, (record, used) =>
      grantsOf(stageOf(record, stage), { used, pools, connections: splitConcurrency }),
    );
    if (!share) return;
    passing('worker.stage.joined');
    const help = new Help(share, run, this.#setting());
    this.#helps.add(help);
    this.#heartbeat.began(help);
    if (this.#drained) help.stop(shutdown);
    const helped = await help.done;
    this.#helps.delete(help);
    if (!helped) this.#unhelped.set(attempt, share.epoch);
    if (this.#unhelped.size > mostUnhelped) this.#unhelped.delete(this.#unhelped.keys().next().value as string);
    this.#relay.nudge();
  }

  #setting(): AttemptSetting {
    const { store, redactor, catalog, graceMs, memory, places, alone, progress, trace = () => null } = this.#options;
    return {
      store,
      processes: this.processes,
      logs: this.#logs,
      redactor,
      catalog,
      spool: spoolOf(this.#options.directory),
      graceMs,
      splitConcurrency,
      memoryBudget: Math.floor(memory / places),
      shared: !alone,
      trace,
      progress,
    };
  }
}
