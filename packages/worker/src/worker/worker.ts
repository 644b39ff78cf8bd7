import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { decide, isMillraceError, type RunStore, type StageProgress, type WakeUp, type WorkerHold } from '@millrace/core/runtime';
import type { Dispatch } from '../dispatch/dispatch.ts';
import type { Redactor } from '../secrets/redact.ts';
import { ProcessPool } from '../stage-process/pool.ts';
import { Attempt, type AttemptSetting } from './attempt.ts';
import type { Catalog } from './catalog.ts';
import { passing } from './failpoints.ts';
import { Heartbeat } from './heartbeat.ts';
import { LogBuffer } from './log-buffer.ts';
import { Relay } from './relay.ts';
import { openSpool, spoolOf } from './spool.ts';
import { shutdown } from './stops.ts';

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
}

/** Splits of a stage side by side: with more, one process decodes no faster. */
const splitConcurrency = 4;
const pollMs = 5_000;
const sweepMs = 5_000;
const hintMs = 200;

/** Claims stages of its queue and runs them, each in a process of its own; says that it lives; takes up what others have left. */
export class Worker implements AsyncDisposable {
  readonly id: string;
  readonly processes: ProcessPool;
  readonly #options: WorkerOptions;
  readonly #hold: WorkerHold;
  readonly #attempts = new Set<Attempt>();
  readonly #logs: LogBuffer;
  readonly #heartbeat: Heartbeat;
  readonly #relay: Relay;
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
    this.#heartbeat = new Heartbeat(store, id, leaseMs, this.#attempts);
    this.#relay = new Relay({ store, dispatch, queue, plans: catalog.plans, room, pollMs, sweepMs, hintMs: alone ? 0 : hintMs });
    dispatch.receive(places, (wakeUp) => this.#handle(wakeUp));
    this.#unsubscribe = store.subscribe((run) => this.#changed(run));
  }

  /** Something may have changed. */
  nudge(): void {
    this.#relay.nudge();
  }

  /** Runs that others have left are ours now. */
  takeUp(): void {
    this.#relay.lookAll();
  }

  /**
   * Stops: nothing is claimed any more; what runs has its time to end, is then asked to, and is given back without an attempt spent.
   * Called again it kills what has not ended.
   */
  drain(): Promise<void> {
    if (this.#drained) {
      for (const attempt of this.#attempts) attempt.stop(shutdown, 0);
      this.#kill();
    }
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  async #drain(): Promise<void> {
    const { store, dispatch, queue, alone, finishMs } = this.#options;
    dispatch.pause();
    await this.#relay.stop();
    this.#unsubscribe();
    const attempts = [...this.#attempts];
    const ended = Promise.allSettled(attempts.map(({ done }) => done));
    for (const attempt of attempts) if (attempt.endless || finishMs === 0) attempt.stop(shutdown);
    await Promise.race([ended, this.#killed, sleep(finishMs, undefined, { ref: false })]);
    for (const attempt of attempts) attempt.stop(shutdown);
    await ended;
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
    for (const { lease } of this.#attempts) if (lease.run === run) return void this.#heartbeat.beat();
  }

  /** Claims the stage, where it is still to be had and is ours to run, and sees it through. */
  async #handle({ run, stage }: WakeUp): Promise<void> {
    if (stage === null || this.#drained) return;
    const { store, catalog, pools } = this.#options;
    const claim = await store.claim({ run, stage }, (record, now, used) =>
      catalog.specOf(record) === null
        ? []
        : decide(record, { type: 'claim', stage, worker: this.id, room: { used, pools, connections: splitConcurrency } }, now),
    );
    const started = claim.events.find(({ event }) => event.type === 'stage.started')?.event;
    if (started?.type !== 'stage.started') return;
    passing('worker.stage.claimed');
    const attempt = new Attempt({ run, stage, epoch: started.epoch, worker: this.id }, claim.run, this.#setting());
    this.#attempts.add(attempt);
    this.#heartbeat.began(attempt);
    if (this.#drained) attempt.stop(shutdown);
    try {
      await attempt.done;
    } catch (error) {
      // Its lease runs out, and the stage is run again; but somebody should know.
      if (!isMillraceError(error)) process.emitWarning(error instanceof Error ? error : String(error));
    } finally {
      this.#attempts.delete(attempt);
      this.#relay.nudge();
    }
  }

  #setting(): AttemptSetting {
    const { store, redactor, catalog, graceMs, memory, places, progress } = this.#options;
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
      progress,
    };
  }
}
