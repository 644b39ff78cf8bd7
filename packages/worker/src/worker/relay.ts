import { decide, isMillraceError, type RunStore } from '@millrace/core/runtime';
import type { Dispatch } from '../dispatch/dispatch.ts';

export interface RelayOptions {
  readonly store: RunStore;
  readonly dispatch: Dispatch;
  readonly queue: string;
  /** Fingerprints of the plans that may be sent for; all where it is left out. */
  readonly plans?: readonly string[] | undefined;
  /** Where others work on the queue too and the dispatch is this process's own: take no more than it has places for. */
  readonly room?: number | undefined;
  /** How often to look without having been told. */
  readonly pollMs: number;
  /** How often, about, to look for leases that are over. */
  readonly sweepMs: number;
  /** How long, at most, a hint may wait: the workers of a fleet hear each other's, and need not all look at once. */
  readonly hintMs: number;
}

const batch = 100;

/**
 * Brings what the store says to those who work: hands the outbox to the dispatch, admits runs, wakes retries that are due,
 * takes back leases that are over. Whatever is lost on the way, the next look at the rows themselves finds it.
 */
export class Relay {
  readonly #options: RelayOptions;
  #timer: NodeJS.Timeout | undefined;
  #hint: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = false;
  #lastPoll = Number.NEGATIVE_INFINITY;
  #nextSweep = 0;

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  /** Something may have changed. */
  nudge(): void {
    if (this.#stopped) return;
    this.#again = true;
    this.#running ??= this.#loop().finally(() => {
      this.#running = undefined;
      if (this.#again) this.nudge();
    });
  }

  /** Somebody has said that something may have changed. */
  hint(): void {
    const { hintMs } = this.#options;
    if (hintMs === 0) return this.nudge();
    this.#hint ??= setTimeout(() => {
      this.#hint = undefined;
      this.nudge();
    }, Math.random() * hintMs);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#hint);
    clearTimeout(this.#timer);
    await this.#running;
  }

  async #loop(): Promise<void> {
    let pause = this.#options.pollMs;
    while (this.#again && !this.#stopped) {
      this.#again = false;
      try {
        const due = await this.#look();
        const next = Math.min(this.#nextSweep, this.#lastPoll + this.#options.pollMs);
        pause = Math.min(due, next - performance.now());
      } catch (error) {
        // Away for a while, or a mistake of ours that the next look may not meet: a relay never dies.
        if (!isMillraceError(error)) process.emitWarning(error instanceof Error ? error : String(error));
        pause = 1_000;
      }
    }
    clearTimeout(this.#timer);
    if (!this.#stopped) this.#timer = setTimeout(() => this.nudge(), Math.max(pause, 10));
  }

  /** Answers in how many milliseconds there is something to do again. */
  async #look(): Promise<number> {
    const { store, dispatch, queue, plans, room, pollMs } = this.#options;
    const now = performance.now();
    if (now >= this.#nextSweep) await this.#sweep();
    const due = await store.due(queue);
    for (const run of due.runs) await store.transition(run, (record, at) => decide(record, { type: 'wake' }, at));
    const most = room === undefined ? batch : Math.max(0, room - (await dispatch.depth()));
    const taken = most > 0 ? await store.drainOutbox(queue, most) : [];
    if (taken.length === batch) this.#again = true;
    const poll = now - this.#lastPoll >= pollMs;
    if (poll) this.#lastPoll = now;
    const admitted = (poll || taken.some(({ stage }) => stage === null)) && (await this.#admit());
    // Admissions have written wake-ups of their own.
    const more = admitted && most > 0 ? await store.drainOutbox(queue, most) : [];
    const stages = [...taken, ...more, ...(poll ? await store.ready(queue, most, plans) : [])].filter(({ stage }) => stage !== null);
    if (stages.length > 0) await dispatch.send(stages);
    return due.nextMs ?? pollMs;
  }

  /** Answers whether there was anything to admit. */
  async #admit(): Promise<boolean> {
    const { store, queue } = this.#options;
    const runs = await store.queued(queue);
    for (const run of runs) {
      await store.admission(run, (record, now, rivals) =>
        decide(record, { type: 'admit', rivals, limit: record.plan.concurrency ?? 1 }, now),
      );
    }
    return runs.length > 0;
  }

  /** Anybody's leases: a worker that has died cannot do it. Spread out, so that a fleet does not sweep in step. */
  async #sweep(): Promise<void> {
    const { store, sweepMs } = this.#options;
    this.#nextSweep = performance.now() + sweepMs * (0.75 + Math.random() / 2);
    for (const { run, stage, epoch } of await store.expired()) {
      await store.transition(run, (record, now) => decide(record, { type: 'lose', stage, epoch }, now));
    }
    await store.splits.sweep();
  }

  /** Looks at everything, now: work that was left behind has been taken up, and nobody wrote a wake-up for it. */
  lookAll(): void {
    this.#nextSweep = 0;
    this.#lastPoll = Number.NEGATIVE_INFINITY;
    this.nudge();
  }
}
