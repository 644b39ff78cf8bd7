import type { RunStore } from '@millrace/core/runtime';
import type { Attempt } from './attempt.ts';
import type { Help } from './help.ts';
import { cancelled, leaseGone } from './stops.ts';

/** How often progress is stored while something runs, in milliseconds. */
const progressMs = 2_000;

/** Hints come with every change of a run, of which hardly any is a cancel. */
const hintMs = 250;

/** Renews all leases of a worker in one statement, from its main thread, which runs no code of pipelines. */
export class Heartbeat {
  readonly #store: RunStore;
  readonly #worker: string;
  readonly #leaseMs: number;
  readonly #attempts: ReadonlySet<Attempt>;
  readonly #helps: ReadonlySet<Help>;
  readonly #renewed = new WeakMap<Attempt | Help, number>();
  #timer: NodeJS.Timeout | undefined;
  #hint: NodeJS.Timeout | undefined;
  #beaten = Number.NEGATIVE_INFINITY;
  #beating: Promise<void> | undefined;
  #stopped = false;

  constructor(store: RunStore, worker: string, leaseMs: number, attempts: ReadonlySet<Attempt>, helps: ReadonlySet<Help>) {
    this.#store = store;
    this.#worker = worker;
    this.#leaseMs = leaseMs;
    this.#attempts = attempts;
    this.#helps = helps;
    this.#plan();
  }

  /** A lease begins when it is claimed. */
  began(work: Attempt | Help): void {
    this.#renewed.set(work, performance.now());
    this.#plan();
  }

  /** Somebody has said that a run changed: perhaps it is to be cancelled. */
  hint(): void {
    this.#hint ??= setTimeout(
      () => {
        this.#hint = undefined;
        if (!this.#stopped) void this.beat();
      },
      Math.max(0, this.#beaten + hintMs - performance.now()),
    ).unref();
  }

  beat(): Promise<void> {
    this.#beating ??= this.#beat().finally(() => {
      this.#beating = undefined;
      this.#plan();
    });
    return this.#beating;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#hint);
    await this.#beating;
  }

  #plan(): void {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    const quarter = this.#leaseMs / 4;
    this.#timer = setTimeout(() => void this.beat(), this.#attempts.size + this.#helps.size > 0 ? Math.min(quarter, progressMs) : quarter);
    this.#timer.unref();
  }

  async #beat(): Promise<void> {
    const attempts = [...this.#attempts];
    const helps = [...this.#helps];
    const began = performance.now();
    this.#beaten = began;
    try {
      const renewed = await this.#store.renew(
        this.#worker,
        attempts.map((attempt) => attempt.held()),
      );
      for (const [i, { fate }] of renewed.entries()) {
        const attempt = attempts[i] as Attempt;
        if (fate === 'lost') this.#lost(attempt);
        else this.#renewed.set(attempt, began);
        if (fate === 'cancel-requested') attempt.stop(cancelled(attempt.lease.run));
      }
      const lost = await this.#store.splits.renew(
        this.#worker,
        helps.map(({ share }) => share.id),
      );
      for (const help of helps) {
        if (lost.includes(help.share.id)) this.#lostShare(help);
        else this.#renewed.set(help, began);
      }
    } catch {
      // The store is away. Leases that cannot be renewed in time are others' to take: what runs under them must stop.
      const overdue = (work: Attempt | Help): boolean => performance.now() - (this.#renewed.get(work) ?? began) > 0.9 * this.#leaseMs;
      for (const attempt of attempts) if (overdue(attempt)) this.#lost(attempt);
      for (const help of helps) if (overdue(help)) this.#lostShare(help);
    }
  }

  /** An attempt that has just reported its end holds nothing any more, and is not told off for it. */
  #lost(attempt: Attempt): void {
    if (this.#attempts.has(attempt)) attempt.stop(leaseGone(attempt.lease.run, attempt.lease.stage));
  }

  #lostShare(help: Help): void {
    if (this.#helps.has(help)) help.stop(leaseGone(help.share.run, help.share.stage));
  }
}
