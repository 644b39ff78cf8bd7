import type { WakeUp } from '@millrace/core/runtime';
import type { Health } from './health.ts';
import type { Intake, Taken } from './intake.ts';
import { Overdue, within } from './within.ts';

export interface ReaderOptions {
  readonly places: number;
  readonly handle: (wakeUp: WakeUp) => Promise<void>;
  /** Called again after every trouble. */
  readonly open: () => Promise<Intake>;
  readonly health: Health;
  /** How long one read may take. */
  readonly readMs?: number;
}

/** A read comes back with something or with nothing within 5 s; BullMQ gives up one that hangs after 11 s. One that takes longer is dead. */
const usualReadMs = 20_000;
const openMs = 10_000;
const writeMs = 4_000;
const stopMs = 1_000;
const firstPauseMs = 100;
const lastPauseMs = 5_000;

/**
 * Takes one wake-up after the other while there are places. What happens to the line happens here: an intake that fails, or that does
 * not come back, is closed and another one opened, for ever.
 */
export class Reader {
  readonly #options: ReaderOptions;
  readonly #ended: Promise<void>;
  #active = 0;
  #stopped = false;
  #intake: Intake | undefined;
  /** Wakes the loop where it waits for a place, or before it tries again. */
  #wake: () => void = () => {};
  /** Aborted when whatever has been asked shall not be waited for any more. */
  readonly #halt = new AbortController();

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#ended = this.#loop();
  }

  /** Handles one that did not come from the queue, where there is a place for it. One that is being read meanwhile may find none. */
  offer(wakeUp: WakeUp): boolean {
    if (this.#stopped || this.#active >= this.#options.places) return false;
    this.#active++;
    void this.#handle(wakeUp);
    return true;
  }

  /** Resolves when nothing is delivered any more. */
  stop(): Promise<void> {
    this.#stopped = true;
    this.#wake();
    this.#intake?.interrupt();
    const patience = setTimeout(() => this.#halt.abort(), stopMs);
    return this.#ended.finally(() => clearTimeout(patience));
  }

  async #loop(): Promise<void> {
    const { open, places, health, readMs = usualReadMs } = this.#options;
    let pauseMs = firstPauseMs;
    let next: Taken | undefined;
    while (!this.#stopped) {
      if (this.#active >= places) {
        if (next) await givenBack(next).catch(() => {});
        next = undefined;
        if (this.#active >= places && !this.#stopped) await this.#place();
        continue;
      }
      try {
        this.#intake ??= await openedBy(open, this.#halt.signal);
        if (this.#stopped) break;
        const taken: Taken | undefined =
          next ?? (await orBack(this.#intake.take(), (taking) => within(readMs, 'reading the queue', taking, this.#halt.signal)));
        next = undefined;
        if (taken && (this.#stopped || this.#active >= places)) await givenBack(taken);
        else if (taken) next = await this.#deliver(taken);
        health.good();
        pauseMs = firstPauseMs;
      } catch (error) {
        next = undefined;
        if (this.#stopped) break;
        health.bad(error);
        const broken = this.#intake;
        this.#intake = undefined;
        await broken?.close();
        if (!(error instanceof Overdue)) await this.#pause(pauseMs * (0.5 + Math.random()));
        pauseMs = Math.min(pauseMs * 2, lastPauseMs);
      }
    }
    if (next) await givenBack(next).catch(() => {});
    await this.#intake?.close();
  }

  /**
   * Gone from the queue first, handled then: a wake-up of the same that is sent from now on finds no such id there and is queued. And
   * handled also where the queue did not answer: it was ours.
   */
  async #deliver(taken: Taken): Promise<Taken | undefined> {
    this.#active++;
    const more = this.#active < this.#options.places;
    try {
      return await orBack(taken.done(more), (next) => within(writeMs, 'taking a wake-up out of the queue', next));
    } finally {
      if (this.#stopped) this.#active--;
      else void this.#handle(taken.wakeUp);
    }
  }

  async #handle(wakeUp: WakeUp): Promise<void> {
    try {
      await this.#options.handle(wakeUp);
    } catch {
      // The store still knows, and the next look finds it.
    } finally {
      this.#active--;
      this.#wake();
    }
  }

  #place(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

const givenBack = (taken: Taken): Promise<void> => within(writeMs, 'giving back a wake-up', taken.putBack());

/** One that comes when nobody waits for it any more is given back. */
async function orBack(coming: Promise<Taken | undefined>, wait: (coming: Promise<Taken | undefined>) => Promise<Taken | undefined>) {
  try {
    return await wait(coming);
  } catch (error) {
    coming.then((late) => late?.putBack()).catch(() => {});
    throw error;
  }
}

/** One that opens when nobody waits for it any more is closed. */
async function openedBy(open: () => Promise<Intake>, until: AbortSignal): Promise<Intake> {
  const opening = open();
  try {
    return await within(openMs, 'opening the queue', opening, until);
  } catch (error) {
    opening.then(
      (late) => late.close(),
      () => {},
    );
    throw error;
  }
}
