import { isMillraceError, MillraceError, type WakeUp } from '@millrace/core/runtime';
import type { BulkJobOptions, Queue } from 'bullmq';
import { type Dispatch, type DispatchHealth, type Hint, lastPriority } from './dispatch.ts';
import type { Health } from './health.ts';
import type { Intake } from './intake.ts';
import { keyOf } from './key.ts';
import { Reader } from './reader.ts';
import { atMost, within } from './within.ts';

export interface CarrierOptions {
  readonly queue: BullmqQueue;
  /** The place in words, without a secret. */
  readonly place: string;
  readonly open: () => Promise<Intake>;
  /** Lets go of what the queue and its intakes have in common, whatever state it is in. */
  readonly release: () => Promise<void>;
  readonly health: Health;
}

export type BullmqQueue = Pick<Queue, 'addBulk' | 'getJobCounts' | 'close'>;

/** BullMQ adds a chunk in one transaction, and Lua takes some thousands of arguments. */
const chunk = 1_000;
const answerMs = 5_000;
const closeMs = 5_000;
/** Wake-ups that are being sent at a time. Above it somebody sends faster than the queue takes them, and the next look finds the rest. */
const underwayLimit = 20_000;

/** What becomes of a wake-up is the store's business: no retries, no results, nothing kept. */
export const writing = { attempts: 1, removeOnComplete: true, removeOnFail: true, keepLogs: 0 } as const;

/** Wake-ups over a queue of BullMQ, whatever that stands on. */
export class Carrier implements Dispatch {
  readonly #options: CarrierOptions;
  #reader: Reader | undefined;
  #paused = false;
  #closed: Promise<void> | undefined;
  #underway = 0;

  constructor(options: CarrierOptions) {
    this.#options = options;
  }

  get health(): DispatchHealth {
    return this.#options.health.now;
  }

  async send(hints: readonly Hint[]): Promise<void> {
    if (hints.length === 0) return;
    const jobs = hints.map(jobOf);
    if (this.#underway + jobs.length > underwayLimit) throw this.#away(new Error(`${this.#underway} wake-ups are on their way already`));
    this.#underway += jobs.length;
    try {
      await this.#asked('sending wake-ups', () => this.#add(jobs));
    } catch (error) {
      if (!this.#handledHere(hints)) throw error;
    } finally {
      this.#underway -= jobs.length;
    }
  }

  /** So that a worker goes on with what it finds in the store while the queue is away. True where that was everything. */
  #handledHere(hints: readonly Hint[]): boolean {
    const distinct = new Map(hints.map(({ run, stage }) => [keyOf({ run, stage }), { run, stage }]));
    return [...distinct.values()].filter((wakeUp) => !this.#reader?.offer(wakeUp)).length === 0;
  }

  receive(places: number, handle: (wakeUp: WakeUp) => Promise<void>): void {
    if (this.#reader) throw new MillraceError('INTERNAL', { message: 'A dispatch receives for one only.', remedy: 'Report it, please.' });
    if (this.#paused) return;
    const { open, health } = this.#options;
    this.#reader = new Reader({ places, handle, open, health });
  }

  pause(): void {
    this.#paused = true;
    void this.#reader?.stop();
  }

  async depth(): Promise<number> {
    const counts = await this.#asked('counting wake-ups', () => this.#options.queue.getJobCounts('wait', 'prioritized'));
    return Object.values(counts).reduce((sum, count) => sum + count, 0);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.pause();
    const { queue, release } = this.#options;
    await atMost(closeMs, Promise.allSettled([this.#reader?.stop(), queue.close()]));
    await release();
  }

  async #add(jobs: readonly QueuedJob[]): Promise<void> {
    const until = performance.now() + answerMs; // nobody waits for the rest any longer
    for (let at = 0; at < jobs.length && performance.now() < until; at += chunk) {
      await this.#options.queue.addBulk(jobs.slice(at, at + chunk));
    }
  }

  async #asked<T>(what: string, work: () => Promise<T>): Promise<T> {
    if (this.#closed) throw this.#away(new Error('it was closed'));
    try {
      const answer = await within(answerMs, what, work());
      this.#options.health.good();
      return answer;
    } catch (error) {
      if (isMillraceError(error)) throw error;
      this.#options.health.bad(error);
      throw this.#away(error);
    }
  }

  #away(cause: unknown): MillraceError {
    const { place } = this.#options;
    return new MillraceError('DISPATCH_UNAVAILABLE', {
      message: `The queue on ${place} does not take wake-ups: ${cause instanceof Error ? cause.message : String(cause)}.`,
      remedy: 'Look whether it runs and whether this machine may connect to it. Runs go on meanwhile, found by looking every few seconds.',
      facts: { place },
      cause,
    });
  }
}

type QueuedJob = { name: string; data: WakeUp; opts: BulkJobOptions };

/**
 * The id keeps a second one out while the first waits, and no longer: a job is gone before its handler begins (`Reader`), so an id is
 * never that of a wake-up in work, and nothing of a finished one is kept.
 */
function jobOf({ run, stage, priority = 0 }: Hint): QueuedJob {
  const urgency = Math.min(Math.max(Math.trunc(priority), 0), lastPriority);
  return {
    name: 'wake',
    data: { run, stage },
    opts: { ...writing, jobId: keyOf({ run, stage }), ...(urgency > 0 && { priority: urgency }) },
  };
}
