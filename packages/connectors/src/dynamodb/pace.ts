import { setTimeout as sleep } from 'node:timers/promises';

/** Spends capacity units at a rate, over all splits of this process: what was spent is waited for before the next request. */
export class Pace {
  readonly #perSecond: number;
  readonly #now: () => number;
  #free = 0;

  constructor(perSecond: number, now: () => number) {
    this.#perSecond = perSecond;
    this.#now = now;
  }

  spent(units: number): void {
    this.#free = Math.max(this.#free, this.#now()) + (units / this.#perSecond) * 1_000;
  }

  async turn(signal: AbortSignal): Promise<void> {
    const wait = this.#free - this.#now();
    if (wait > 0) await sleep(wait, undefined, { signal });
  }
}
