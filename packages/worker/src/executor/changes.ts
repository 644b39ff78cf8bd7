/** Something to wait for: a change that somebody tells of, or the time. */
export class Changes {
  #changed = false;
  #wake: (() => void) | undefined;

  tell = (): void => {
    this.#changed = true;
    this.#wake?.();
  };

  /** After a change since the last call, or after so many milliseconds, or when the signal aborts. */
  async next(atMostMs: number, signal?: AbortSignal): Promise<void> {
    if (!this.#changed && !signal?.aborted) {
      signal?.addEventListener('abort', this.tell);
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        timer = setTimeout(resolve, atMostMs);
        this.#wake = resolve;
      });
      clearTimeout(timer);
      signal?.removeEventListener('abort', this.tell);
    }
    this.#wake = undefined;
    this.#changed = false;
  }
}
