import type { Session } from '../client.ts';

/** A few sessions that work side by side. Each piece of work has one to itself; one that failed in the middle is not used again. */
export class SessionLanes implements AsyncDisposable {
  readonly #open: () => Promise<Session>;
  readonly #most: number;
  readonly #idle: Session[] = [];
  readonly #busy = new Set<Session>();
  readonly #waiting: (() => void)[] = [];
  #count = 0;
  #closed = false;

  constructor(open: () => Promise<Session>, most: number) {
    this.#open = open;
    this.#most = most;
  }

  async use<T>(work: (session: Session) => Promise<T>): Promise<T> {
    while (this.#count >= this.#most) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#count++;
    try {
      const idle = this.#idle.pop();
      const session = idle && !idle.ended ? idle : await this.#open();
      this.#busy.add(session);
      try {
        const result = await work(session);
        if (this.#closed) await session[Symbol.asyncDispose]();
        else this.#idle.push(session);
        return result;
      } catch (error) {
        await session.kill();
        throw error;
      } finally {
        this.#busy.delete(session);
      }
    } finally {
      this.#count--;
      this.#waiting.shift()?.();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const session of this.#busy) await session.kill();
    for (const session of this.#idle.splice(0)) await session[Symbol.asyncDispose]();
  }
}
