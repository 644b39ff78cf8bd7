interface LaneSession extends AsyncDisposable {
  readonly ended: boolean;
  kill(): Promise<void>;
}

/** A few sessions that work side by side. Each piece of work has one to itself; one that failed in the middle is not used again. */
export class SessionLanes<Session extends LaneSession> implements AsyncDisposable {
  readonly #open: () => Promise<Session>;
  readonly #most: number;
  readonly #close: (session: Session) => Promise<void>;
  readonly #idle: Session[] = [];
  readonly #busy = new Set<Session>();
  readonly #waiting: (() => void)[] = [];
  #count = 0;
  #closed = false;

  constructor(
    open: () => Promise<Session>,
    most: number,
    close: (session: Session) => Promise<void> = async (session) => session[Symbol.asyncDispose](),
  ) {
    this.#open = open;
    this.#most = most;
    this.#close = close;
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
        if (this.#closed) await this.#close(session);
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
    for (const session of this.#idle.splice(0)) await this.#close(session);
  }
}
