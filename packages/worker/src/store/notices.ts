/** How long a notice waits for others, at most. */
const togetherMs = 50;

/**
 * Tells other processes which runs have changed: the first at once, those that follow closely together. Not inside of the transactions
 * that change them, since Postgres lets one transaction with a notice commit at a time. One that is lost costs a look, seconds later.
 */
export class Notices implements AsyncDisposable {
  readonly #send: (runs: readonly string[]) => Promise<unknown>;
  readonly #runs = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> = Promise.resolve();

  constructor(send: (runs: readonly string[]) => Promise<unknown>) {
    this.#send = send;
  }

  tell(run: string): void {
    this.#runs.add(run);
    if (this.#timer) return;
    this.#flush();
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#flush();
    }, togetherMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    this.#flush();
    await this.#sending;
  }

  #flush(): void {
    if (this.#runs.size === 0) return;
    const runs = [...this.#runs];
    this.#runs.clear();
    this.#sending = this.#send(runs).then(
      () => {},
      () => {},
    );
  }
}
