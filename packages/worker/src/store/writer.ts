import type { StateConnection } from './connect.ts';
import { type Change, write } from './write.ts';

/** Statements on their way at a time. With two, each holds half as much, and the database works a fifth more for the same. */
const sideBySide = 1;
/** Changes in one statement. */
const most = 64;

interface Wanted {
  readonly change: Change;
  readonly resolve: (now: Date | null) => void;
  readonly reject: (error: unknown) => void;
}

/** Writes changes of runs, one to a run at a time. Those that come while statements are on their way go into the next one together. */
export class Writer {
  readonly #statement: StateConnection['statement'];
  #wanted: Wanted[] = [];
  #running = 0;

  constructor(statement: StateConnection['statement']) {
    this.#statement = statement;
  }

  /** Answers when it was written, or null where the run has moved on or is held by somebody. */
  write(change: Change): Promise<Date | null> {
    return new Promise((resolve, reject) => {
      this.#wanted.push({ change, resolve, reject });
      if (this.#running === 0) queueMicrotask(() => this.#next());
      else this.#next();
    });
  }

  #next(): void {
    if (this.#running >= sideBySide || this.#wanted.length === 0) return;
    const taken = this.#wanted.splice(0, most);
    this.#running++;
    void this.#together(taken).finally(() => {
      this.#running--;
      this.#next();
    });
  }

  async #together(taken: readonly Wanted[]): Promise<void> {
    const { text, values } = write(
      taken.map(({ change }) => change),
      { alone: true },
    );
    try {
      const rows = await this.#statement<{ run: string; now: Date }>(text, values);
      const moved = new Map(rows.map(({ run, now }) => [run, now]));
      for (const { change, resolve } of taken) resolve(moved.get(change.after.id) ?? null);
    } catch (error) {
      for (const { reject } of taken) reject(error);
    }
  }
}
