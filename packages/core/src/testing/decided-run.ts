import { type Command, decide } from '../executor/index.ts';
import type { PlanStage } from '../plan/index.ts';
import { evolve, newRun, type RunEvent, type RunRecord, type RunRequest, type StoredEvent } from '../state/index.ts';
import { planOf, requestFor } from './plans.ts';

/** A run without a store: what is decided about it goes into its log, and the log makes its state. */
export interface DecidedRun {
  readonly first: RunRecord;
  readonly now: RunRecord;
  readonly log: readonly StoredEvent[];
  /** Answers what was decided. */
  do(command: Command, at: Date): RunEvent[];
  /** What follows from several commands, decided elsewhere. */
  take(events: readonly RunEvent[], at: Date): void;
}

export function decidedRun(stages: readonly PlanStage[], created: Date, omitted: RunRequest['omitted'] = {}): DecidedRun {
  const first = newRun('r', requestFor('p', { omitted }), planOf('p', stages), created.toISOString());
  const log: StoredEvent[] = [];
  let now = first;
  function take(events: readonly RunEvent[], at: Date): void {
    const stored = events.map((event, i) => ({ run: 'r', seq: now.seq + i + 1, at: at.toISOString(), event }));
    now = evolve(now, stored);
    log.push(...stored);
  }
  return {
    first,
    log,
    take,
    get now() {
      return now;
    },
    do(command, at) {
      const events = decide(now, command, at);
      take(events, at);
      return events;
    },
  };
}
