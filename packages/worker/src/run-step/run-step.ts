import {
  isFinal,
  isMillraceError,
  type Reopenings,
  type RunRecord,
  type RunStore,
  reopeningsOf,
  type StageState,
  stepFunctionsQueue,
} from '@millrace/core/runtime';
import { inlineDispatch } from '../dispatch/inline.ts';
import { Changes } from '../executor/changes.ts';
import { patiently } from '../executor/patience.ts';
import { catalogOf } from '../fleet/pipelines.ts';
import { shutdown } from '../worker/stops.ts';
import { Worker } from '../worker/worker.ts';
import { onlyStage } from './only.ts';
import { arrive, countRedrives, recordOf } from './record.ts';
import { noStage, whyNotDone } from './refusals.ts';
import type { Step, StepEnd, StepOptions } from './step.ts';

/** How often to look without having been told. */
const lookMs = 1_000;

/** Milliseconds that a task has to come to its end. */
const graceMs = 20_000;

/**
 * One stage of a run whose order a state machine keeps: claimed, run, helped and watched as by a fleet's worker, but this stage alone. The
 * record decides what is to be done, so that the same request may come twice, at once, too late, or again after a crash.
 *
 * @throws PLAN_CHANGED, CONFIG_INVALID, RUN_HELD where it cannot even begin; nothing has failed then · STATE_UNAVAILABLE
 */
export async function runStep(step: Step, options: StepOptions): Promise<StepEnd> {
  const { store, signal } = options;
  await recordOf(step, options);
  const changes = new Changes();
  const unsubscribe = store.subscribe((run) => {
    if (run === step.run) changes.tell();
  });
  const at = new Whereabouts(step, store, options.id);
  let worker: Worker | undefined;
  try {
    for (;;) {
      const end = await at.look(worker?.busy ?? false, signal);
      if (end) return end;
      if (signal.aborted) break;
      worker ??= await working(step, options);
      await changes.next(lookMs, signal);
    }
    if (worker) await at.ended(changes, options.graceMs ?? graceMs);
    await worker?.drain();
    return (await at.look(false, signal)) ?? { at: 'stopped', error: shutdown };
  } finally {
    unsubscribe();
    await worker?.drain();
  }
}

async function working(step: Step, options: StepOptions): Promise<Worker> {
  const { store, pipeline, directory, environment = {}, redactor, id, trace, leaseMs = 60_000 } = options;
  const worker = await Worker.start({
    store: onlyStage(store, step, { claims: !step.helps }),
    dispatch: inlineDispatch(),
    ownDispatch: true,
    id,
    queue: stepFunctionsQueue,
    alone: false,
    pools: environment.pools ?? {},
    leaseMs,
    graceMs: options.graceMs ?? graceMs,
    // Whoever asks it to end is a machine that has gone on, or takes the host away.
    finishMs: 0,
    places: 1,
    memory: (environment.memory ?? 256) * 1024 * 1024,
    redactor,
    catalog: catalogOf([pipeline], { directory, sources: environment.secrets ?? ['.env', 'env'] }),
    directory,
    progress: () => {},
    trace,
  });
  worker.takeUp();
  return worker;
}

/** Where the stage is, as the one knows it who was asked for it. */
class Whereabouts {
  readonly #step: Step;
  readonly #store: RunStore;
  readonly #worker: string;
  readonly #reopenings: () => Promise<Reopenings>;
  /** The run is open for the redrive that this task is of. */
  #opened = false;
  /** Whoever helps has seen an attempt begin. */
  #begun = false;

  constructor(step: Step, store: RunStore, worker: string) {
    this.#step = step;
    this.#store = store;
    this.#worker = worker;
    this.#reopenings = reopeningsOf(store, step.run);
  }

  /** Does what the record needs from here; answers the end, once there is one. */
  async look(busy: boolean, signal: AbortSignal): Promise<StepEnd | null> {
    try {
      return await patiently(() => (this.#step.helps ? this.#helped(busy) : this.#led(signal)), signal);
    } catch (error) {
      // What runs waits for the state database by itself, for as long as its lease lasts.
      if (busy && isMillraceError(error) && error.code === 'STATE_UNAVAILABLE') return null;
      throw error;
    }
  }

  /** Waits until work at a service is ended, where its run was cancelled: whoever stops the task comes right after the cancel, and nobody else would see to it. */
  async ended(changes: Changes, atMostMs: number): Promise<void> {
    const over = AbortSignal.timeout(atMostMs);
    while (!over.aborted) {
      const { run, state } = await this.#read();
      if (run.cancelRequestedAt === null || state.at !== 'elsewhere') return;
      await changes.next(lookMs, over);
    }
  }

  async #led(signal: AbortSignal): Promise<StepEnd | null> {
    this.#opened ||= !signal.aborted && (await countRedrives(this.#step, this.#store, this.#reopenings));
    if (!this.#opened && !signal.aborted) return null;
    for (;;) {
      const { run, state } = await this.#read();
      if (isFinal(state)) {
        const error = whyNotDone(run, this.#step.stage, state);
        return error ? { at: 'failed', error } : { at: 'done' };
      }
      if (signal.aborted) return null;
      if (state.at === 'retrying' && (await this.#isOurs())) return { at: 'retry', error: state.error };
      if (state.at !== 'waiting' && state.at !== 'retrying') return null;
      await arrive(this.#step, this.#store);
    }
  }

  async #helped(busy: boolean): Promise<StepEnd | null> {
    const { state } = await this.#read();
    if (state.at === 'running') {
      this.#begun = true;
      return !busy && (await this.#store.splits.free(this.#step)) === 0 ? { at: 'done' } : null;
    }
    return isFinal(state) || this.#begun ? { at: 'done' } : null;
  }

  /** The last attempt was made here. */
  async #isOurs(): Promise<boolean> {
    const attempts = (await this.#store.attempts(this.#step.run)).filter(({ stage }) => stage === this.#step.stage);
    return attempts.sort((a, b) => a.epoch - b.epoch).at(-1)?.worker === this.#worker;
  }

  async #read(): Promise<{ readonly run: RunRecord; readonly state: StageState }> {
    const run = await this.#store.read(this.#step.run);
    const { state } = run.stages.get(this.#step.stage) ?? {};
    if (!state) throw noStage(this.#step, run.plan);
    return { run, state };
  }
}
