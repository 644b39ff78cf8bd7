import type { LogLine, RunStore } from '@millrace/core/runtime';

const flushMs = 400;
const flushLines = 200;
/** A stage that prints without end must not fill memory or database while the store is slow. */
const mostLines = 5_000;

/** Lines on their way to the store, in groups. */
export class LogBuffer {
  readonly #store: RunStore;
  #lines: LogLine[] = [];
  #dropped = 0;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(store: RunStore) {
    this.#store = store;
  }

  add(line: LogLine): void {
    if (this.#lines.length >= mostLines) {
      this.#dropped++;
      return;
    }
    this.#lines.push(line);
    if (this.#lines.length >= flushLines) void this.flush();
    else this.#timer ??= setTimeout(() => void this.flush(), flushMs);
  }

  /** All lines added so far are stored; lines that the store would not take are lost, since they are only lines. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const lines = this.#lines;
    this.#lines = [];
    const last = lines.at(-1);
    if (this.#dropped > 0 && last)
      lines.push({ ...last, level: 'warn', message: `${this.#dropped} more lines were printed and not kept`, facts: {} });
    this.#dropped = 0;
    this.#writing = this.#writing.then(() => this.#store.appendLogs(lines)).catch(() => {});
    await this.#writing;
  }
}
