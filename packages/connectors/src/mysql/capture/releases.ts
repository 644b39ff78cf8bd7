import type { Log, Position } from '@millrace/core/runtime';
import { confirmStream } from './home.ts';
import type { LastingSession } from './lasting-session.ts';

/** So often is it written down at the source, at most: each time is a transaction in its log. */
const everyMs = 1_000;

/** Writes down at the source how far its stream was released. Nothing depends on its being done soon: the targets know better. */
export class Releases implements AsyncDisposable {
  readonly #session: LastingSession;
  readonly #name: string;
  readonly #epoch: number;
  readonly #log: Log;
  #wanted: Position | null = null;
  #written: Position | null = null;
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<void> = Promise.resolve();

  constructor(session: LastingSession, name: string, epoch: number, log: Log) {
    this.#session = session;
    this.#name = name;
    this.#epoch = epoch;
    this.#log = log;
  }

  /** What is there already. */
  begin(written: Position): void {
    this.#written = written;
  }

  release(position: Position): void {
    if (this.#wanted === null || position > this.#wanted) this.#wanted = position;
    if (this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#work = this.#work.then(() => this.#write());
    }, everyMs);
    this.#timer.unref();
  }

  async #write(): Promise<void> {
    const position = this.#wanted;
    if (position === null || (this.#written !== null && position <= this.#written)) return;
    try {
      await confirmStream(await this.#session.get(), this.#name, this.#epoch, position);
      this.#written = position;
    } catch (error) {
      this.#log.info('How far the stream was released could not be written down at the source.', { reason: (error as Error).message });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    await this.#work;
    await this.#write();
  }
}
