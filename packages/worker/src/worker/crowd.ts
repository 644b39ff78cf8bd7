import type { Dispatch } from '../dispatch/dispatch.ts';

/** What was heard of the queue longer ago is asked for anew. */
const freshMs = 50;
/** How long a place goes from stage to stage of one run, at most, before it takes what the queue has for it. */
const turnMs = 1_000;

/** Whether others wait for a place of this fleet: then one that becomes free is theirs, in the order of the queue. */
export class Crowd {
  readonly #dispatch: Pick<Dispatch, 'depth'> | null;
  #waiting = true;
  #asked = Number.NEGATIVE_INFINITY;

  /** `null` where nobody knows. */
  constructor(dispatch: Pick<Dispatch, 'depth'> | null) {
    this.#dispatch = dispatch;
  }

  /** A place begins its turn. */
  begin(): number {
    this.#look();
    return performance.now();
  }

  /** Whether a place that has begun its turn then goes on with a stage that follows the one it has done. */
  mayGoOn(since: number): boolean {
    this.#look();
    return !this.#waiting && performance.now() - since < turnMs;
  }

  #look(): void {
    const now = performance.now();
    if (!this.#dispatch || now - this.#asked < freshMs) return;
    this.#asked = now;
    this.#dispatch.depth().then(
      (depth) => {
        this.#waiting = depth > 0;
      },
      () => {
        this.#waiting = false; // wake-ups do not travel: whoever has work goes on with it
      },
    );
  }
}
