import { setTimeout as sleep } from 'node:timers/promises';

export interface Clock {
  /** Milliseconds that only grow. */
  now(): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

const machineClock: Clock = {
  now: () => performance.now(),
  // Timers come up to a millisecond early.
  sleep: (ms, signal) => sleep(Math.ceil(ms) + 1, undefined, { signal }).catch(() => signal.throwIfAborted()),
};

/** Lets so many requests begin within any span of so many milliseconds, in the order in which they ask. */
export class Pace {
  readonly #requests: number;
  readonly #perMs: number;
  readonly #clock: Clock;
  /** When the last ones began, oldest first. */
  readonly #begun: number[] = [];
  #last: Promise<void> = Promise.resolve();

  constructor(requests: number, perMs: number, clock: Clock = machineClock) {
    this.#requests = requests;
    this.#perMs = perMs;
    this.#clock = clock;
  }

  turn(signal: AbortSignal): Promise<void> {
    const mine = this.#last.then(() => this.#wait(signal));
    // Whoever gives up while waiting does not take the others with him.
    this.#last = mine.catch(() => {});
    return mine;
  }

  async #wait(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#begun.length >= this.#requests) {
      const free = this.#begun.shift()! + this.#perMs;
      const ms = free - this.#clock.now();
      if (ms > 0) await this.#clock.sleep(ms, signal);
    }
    this.#begun.push(this.#clock.now());
  }
}
