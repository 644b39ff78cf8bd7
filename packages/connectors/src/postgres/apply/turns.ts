import type { Session } from '../client.ts';

/** Work on one session, a piece at a time: what follows is made ready while the server is busy with the piece before it. */
export class Turns {
  readonly session: Session;
  readonly #meanwhile: () => void;
  #running: Promise<unknown> = Promise.resolve();

  /** `meanwhile` is told when the server is busy and no piece is left to be made ready. */
  constructor(session: Session, meanwhile: () => void = () => {}) {
    this.session = session;
    this.#meanwhile = meanwhile;
  }

  /** Waits for the piece before, not for this one. */
  async next(work: () => Promise<unknown>): Promise<void> {
    await this.#running;
    this.#running = work();
    this.#running.catch(() => {}); // whoever comes next is told
  }

  meanwhile(): void {
    this.#meanwhile();
  }

  async end(): Promise<void> {
    this.#meanwhile();
    await this.#running;
  }
}
