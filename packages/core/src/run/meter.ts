import type { Context } from '../connector/index.ts';
import type { StagePhase } from '../state/index.ts';
import type { AttemptProgress } from './stage-job.ts';

/**
 * Counts what moves through an attempt. Source, sink and the engine between them may each count the same rows, so each has a
 * counter of its own, and the furthest is shown.
 */
export class Meter {
  readonly #tell: (progress: AttemptProgress) => void;
  readonly #counters: { rows: number; bytes: number }[] = [];
  #phase: StagePhase = 'planning';
  #splits = { done: 0, total: 0 };
  #others = { rows: 0, bytes: 0, splits: 0 };
  #estimate: AttemptProgress['estimate'] = { rows: null, bytes: null };
  #stream: AttemptProgress['stream'];

  constructor(tell: (progress: AttemptProgress) => void) {
    this.#tell = tell;
  }

  counter(): Context['progress'] {
    const counter = { rows: 0, bytes: 0 };
    this.#counters.push(counter);
    return ({ rows = 0, bytes = 0 }) => {
      counter.rows += rows;
      counter.bytes += bytes;
      this.#changed();
    };
  }

  enter(phase: StagePhase): void {
    this.#phase = phase;
    this.#changed();
  }

  expect(splits: number, estimate: AttemptProgress['estimate']): void {
    this.#splits = { done: 0, total: splits };
    this.#estimate = estimate;
    this.#changed();
  }

  splitDone(): void {
    this.#splits = { ...this.#splits, done: this.#splits.done + 1 };
    this.#changed();
  }

  /** Beside what is counted here: what others have done of it so far. */
  others(done: { readonly rows: number; readonly bytes: number; readonly splits: number }): void {
    this.#others = done;
    this.#changed();
  }

  /** Where a stream is. */
  follow(stream: NonNullable<AttemptProgress['stream']>): void {
    this.#stream = stream;
    this.#changed();
  }

  get progress(): AttemptProgress {
    const most = (of: 'rows' | 'bytes'): number =>
      this.#counters.reduce((highest, counter) => Math.max(highest, counter[of]), 0) + this.#others[of];
    return {
      phase: this.#phase,
      rows: most('rows'),
      bytes: most('bytes'),
      splits: { ...this.#splits, done: this.#splits.done + this.#others.splits },
      estimate: this.#estimate,
      ...(this.#stream && { stream: this.#stream }),
    };
  }

  #changed(): void {
    this.#tell(this.progress);
  }
}
