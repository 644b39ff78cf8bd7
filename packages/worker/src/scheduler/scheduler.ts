import { setTimeout as sleep } from 'node:timers/promises';
import type { ScheduleStore } from '@millrace/core/runtime';
import { backfillOnce } from './backfilling.ts';
import type { Deployed, Launch } from './launch.ts';
import { deploy, serve, tickOnce } from './ticking.ts';
import type { TriggerSource } from './trigger-source.ts';

export interface SchedulerOptions {
  readonly store: ScheduleStore;
  readonly launch: Launch;
  /** By name, as they are deployed here. */
  readonly pipelines: ReadonlyMap<string, Deployed>;
  /** What else starts runs: files, notifications, other pipelines. */
  readonly sources?: readonly TriggerSource[];
  /** Milliseconds between two looks; 1,000 by default. */
  readonly everyMs?: number;
  /** Hears of looks that failed; the next one comes anyway. */
  readonly onError?: (error: unknown, what: string) => void;
  /** Is called before each look at the schedules: the main loop turns. */
  readonly turned?: () => void;
}

/** Between two words that we are there. */
const serveMs = 30_000;

/** Ticks are kept for as long as somebody may ask what has become of them. */
const keptDays = 90;
const forgetMs = 3_600_000;

/**
 * Makes runs when their time has come. Any number of them may work on one state database: what each does is reserved in rows first,
 * so that two do nothing twice and one that dies leaves nothing half done. The database's clock is the only one.
 */
export class Scheduler implements AsyncDisposable {
  readonly #options: SchedulerOptions;
  readonly #stop = new AbortController();
  readonly #loops: Promise<void>[] = [];

  private constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  /** Deploys the schedules of its pipelines and begins. @throws STATE_UNAVAILABLE */
  static async start(options: SchedulerOptions): Promise<Scheduler> {
    const scheduler = new Scheduler(options);
    await deploy(options);
    scheduler.#begin();
    return scheduler;
  }

  #begin(): void {
    const { everyMs = 1_000, sources = [], turned } = this.#options;
    this.#loops.push(
      this.#loop('schedules', everyMs, async () => {
        turned?.();
        return Math.min((await tickOnce(this.#options)) ?? everyMs, everyMs);
      }),
      this.#loop('backfills', everyMs, () => backfillOnce(this.#options).then(() => null)),
      this.#loop('deployments', serveMs, () => serve(this.#options).then(() => null)),
      this.#loop('old ticks', forgetMs, () => this.#options.store.forgetTicks(keptDays).then(() => null)),
      ...sources.map(({ name, everyMs: pause, look }) => this.#loop(name, pause, () => look(this.#stop.signal))),
    );
  }

  /** `look` may say when it wants to look again. */
  async #loop(what: string, everyMs: number, look: () => Promise<number | null>): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      let pause = everyMs;
      try {
        pause = Math.max(10, (await look()) ?? everyMs);
      } catch (error) {
        if (!signal.aborted) this.#options.onError?.(error, what);
      }
      await sleep(pause, undefined, { signal }).catch(() => {});
    }
  }

  /** Ends after what it is doing now. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#loops);
    for (const { close } of this.#options.sources ?? []) await close?.();
  }
}
