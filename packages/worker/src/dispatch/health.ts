import type { DispatchHealth } from './dispatch.ts';

/** No two tellings closer together than this: a line that breaks and comes back all the time is one trouble, not thousands. */
const quietMs = 30_000;

/** What the last thing that was tried says of the line. Tells changes, not attempts. */
export class Health {
  readonly #tell: (health: DispatchHealth) => void;
  #now: DispatchHealth = { at: 'connected' };
  #told: DispatchHealth['at'] = 'connected';
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor(tell: (health: DispatchHealth) => void) {
    this.#tell = tell;
  }

  get now(): DispatchHealth {
    return this.#now;
  }

  good(): void {
    this.#change({ at: 'connected' });
  }

  bad(error: unknown): void {
    const why = error instanceof Error ? error.message || error.name : String(error);
    this.#change(this.#now.at === 'away' ? { ...this.#now, why } : { at: 'away', since: new Date(), why });
  }

  #change(to: DispatchHealth): void {
    this.#now = to;
    if (to.at === this.#told || performance.now() - this.#toldAt < quietMs) return;
    this.#told = to.at;
    this.#toldAt = performance.now();
    this.#tell(to);
  }
}
