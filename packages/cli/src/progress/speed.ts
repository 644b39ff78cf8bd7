import type { RunView } from './run-view.ts';

/** Rows in a second over the last few seconds, so that the display follows what happens now. */
export class Speed {
  readonly #samples = new Map<string, { at: number; rows: number }[]>();

  sample(view: RunView, now: number): void {
    for (const { id, rows } of view.stages) {
      const samples = this.#samples.get(id) ?? [];
      // A new attempt begins again at 0.
      if (rows < (samples.at(-1)?.rows ?? 0)) samples.length = 0;
      samples.push({ at: now, rows });
      while ((samples[1]?.at ?? now) < now - windowMs) samples.shift();
      this.#samples.set(id, samples);
    }
  }

  of(stage: string): { rows: number; ms: number } {
    const samples = this.#samples.get(stage) ?? [];
    const [first, last] = [samples[0], samples.at(-1)];
    return first && last ? { rows: last.rows - first.rows, ms: last.at - first.at } : { rows: 0, ms: 0 };
  }
}

/** Long enough that a batch more or less does not make the number jump. */
const windowMs = 3000;
