import type { AttemptStarted, Happening } from './happenings.ts';
import type { HeldAttempt } from './watch-store.ts';

/** Runs and attempts that are remembered, the newest: some end elsewhere, and nobody says so here. */
const most = 5_000;

/** What this process has under way: learnt from what it was seen to do. */
export class Held {
  readonly #attempts = new Map<string, { readonly since: number; readonly kind: AttemptStarted['kind'] }>();
  readonly #pipelines = new Map<string, string>();

  happened(one: Happening): void {
    this.#pipelines.delete(one.run);
    this.#pipelines.set(one.run, one.pipeline);
    if (one.type === 'attempt.started') this.#attempts.set(keyOf(one), { since: performance.now(), kind: one.kind });
    if (one.type === 'attempt.ended') this.#attempts.delete(keyOf(one));
    for (const map of [this.#pipelines, this.#attempts]) if (map.size > most) map.delete(map.keys().next().value as string);
  }

  pipelineOf = (run: string): string | null => this.#pipelines.get(run) ?? null;

  /** True where one of these attempts has run for so long. A stream does not count: it is handed over, and would never let go. */
  long(held: readonly HeldAttempt[], longMs: number): boolean {
    for (const attempt of held) if (attempt.lost) this.#attempts.delete(keyOf(attempt));
    return held.some((attempt) => {
      const known = this.#attempts.get(keyOf(attempt));
      return known !== undefined && known.kind !== 'changes' && performance.now() - known.since >= longMs;
    });
  }
}

const keyOf = ({ run, stage, epoch }: { run: string; stage: string; epoch: number }): string => JSON.stringify([run, stage, epoch]);
