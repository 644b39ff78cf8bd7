/**
 * Work that comes one at a time. After a failure there is no more of it, since nobody knows what came about: every later call ends with
 * that failure, and the next attempt looks.
 */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();
  #failure: { readonly error: unknown } | null = null;

  take<Result>(work: () => Promise<Result>): Promise<Result> {
    const mine = this.#last.then(async () => {
      if (this.#failure) throw this.#failure.error;
      try {
        return await work();
      } catch (error) {
        this.#failure = { error };
        throw error;
      }
    });
    this.#last = mine.catch(() => {});
    return mine;
  }

  /** When all that was asked for so far has ended, one way or another. */
  async ended(): Promise<void> {
    await this.#last;
  }
}
