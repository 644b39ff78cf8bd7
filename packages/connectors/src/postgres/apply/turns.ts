/** Work on one session, a piece at a time: what follows is made ready while the server is busy with the piece before it. */
export class Turns {
  #running: Promise<unknown> = Promise.resolve();

  /** Waits for the piece before, not for this one. */
  async next(work: () => Promise<unknown>): Promise<void> {
    await this.#running;
    this.#running = work();
    this.#running.catch(() => {}); // whoever comes next is told
  }

  async end(): Promise<void> {
    await this.#running;
  }
}
