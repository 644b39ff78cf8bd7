/** Older than this, what we have heard says too little: clocks run at different speeds. */
const trustMs = 30_000;

/**
 * The store's time between two of its answers: what it said last, and what has passed since by a clock of ours that nobody sets. It is
 * late by the way of an answer, never early.
 */
export class StoreClock {
  #said = 0;
  #heard = Number.NEGATIVE_INFINITY;

  heard(now: Date): void {
    this.#said = now.getTime();
    this.#heard = performance.now();
  }

  /** Not before `least`. Undefined where the store has said nothing for long. */
  now(least: Date): Date | undefined {
    const since = performance.now() - this.#heard;
    return since > trustMs ? undefined : new Date(Math.max(least.getTime(), this.#said + since));
  }
}
