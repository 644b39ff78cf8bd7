import type { HistoryEvent } from '@aws-sdk/client-sfn';
import type { Json } from '@millrace/core/runtime';
import type { Test } from '../asl.ts';
import type { Machine } from '../compile.ts';
import { type Failure, failureOf } from './failure.ts';

/** What a machine did for a stage that no task of ours records. Attempts count from 1 since the execution was started or redriven. */
export type Happening =
  | { readonly type: 'began'; readonly stage: string; readonly attempt: number }
  | { readonly type: 'failed'; readonly stage: string; readonly attempt: number; readonly failure: Failure; readonly passes: boolean }
  | { readonly type: 'succeeded'; readonly stage: string; readonly attempt: number; readonly output: Json };

/** The history of an execution as far as it has been read: the next events are told by those before them. */
export class History {
  /** Of the last event. */
  last = 0;
  /** Executions of the machine's parts that belong to it, by their ARNs. */
  readonly parts = new Set<string>();
  /** All that there ever were, also those in whose place a redrive has started others. */
  readonly everStarted = new Set<string>();
  /** Stages whose work was done natively, before a redrive too, with what their services have answered. */
  readonly done = new Map<string, Json>();
  /** Where the execution has come to grief last. The stage is null where a state failed that belongs to none, the failure where only the execution says it. */
  trouble: { readonly stage: string | null; readonly failure: Failure | null } | null = null;
  readonly #machine: Machine;
  /** Parts that have succeeded. */
  readonly #done = new Set<string>();
  /** Work of states, by the numbers of its events: they name the one before, and only the first names the state. */
  readonly #works = new Map<number, Work>();

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** The events after those of the last call, oldest first. Of what was before a redrive nothing is told: it is in the run's record, or is done again. */
  read(events: readonly HistoryEvent[]): Happening[] {
    let told: Happening[] = [];
    for (const event of events) {
      this.last = event.id ?? this.last;
      if (event.type === 'ExecutionRedriven') {
        told = [];
        this.trouble = null;
        // Others are started in the place of those that have not succeeded.
        for (const part of this.parts) if (!this.#done.has(part)) this.parts.delete(part);
        for (const work of this.#works.values()) work.attempts = 0;
      }
      told.push(...this.#tell(event));
    }
    return told;
  }

  #tell(event: HistoryEvent): Happening[] {
    const entered = event.stateEnteredEventDetails;
    if (entered?.name !== undefined) {
      if (event.type === 'FailStateEntered') this.#troubled(entered.name, null);
      this.#works.set(event.id ?? 0, { state: entered.name, attempts: 0, failed: true });
      return [];
    }
    const work = this.#works.get(event.previousEventId ?? 0);
    if (!work) return [];
    this.#works.set(event.id ?? 0, work);
    const part = this.#machine.states.get(work.state);
    const native = part?.passing ? { ...part, passing: part.passing } : undefined;
    const of = native && { stage: native.stage, attempt: Math.max(1, work.attempts) };
    const failure = failureOf(event);
    if (failure) {
      work.failed = true;
      if (of) this.done.delete(of.stage);
      this.#troubled(work.state, failure);
      return of ? [{ type: 'failed', ...of, failure, passes: native.passing.includes(failure.name) }] : [];
    }
    switch (event.type) {
      case 'TaskScheduled':
        work.attempts++;
        return native ? [{ type: 'began', stage: native.stage, attempt: work.attempts }] : [];
      case 'TaskSubmitted':
        if (!part && event.taskSubmittedEventDetails?.resourceType === 'states')
          this.#startedPart(work, event.taskSubmittedEventDetails.output);
        return [];
      case 'TaskSucceeded':
        work.failed = false;
        work.answer = parsed(event.taskSucceededEventDetails?.output);
        if (work.part !== undefined) this.#done.add(work.part);
        return [];
      case 'TaskStateExited': {
        if (!of || work.failed) return [];
        const unfinished = native.guard && holds(native.guard, parsed(event.stateExitedEventDetails?.output));
        // The state is also what states before this one have left in it.
        const output = work.answer ?? {};
        if (!unfinished) this.done.set(of.stage, output);
        return [unfinished ? { type: 'failed', ...of, failure: stopped, passes: false } : { type: 'succeeded', ...of, output }];
      }
      default:
        return [];
    }
  }

  #troubled(state: string, failure: Failure | null): void {
    const stage = this.#machine.states.get(state)?.stage ?? null;
    // A state that fails says less than what has brought the machine there.
    if (failure !== null || (stage !== null && this.trouble?.stage !== stage)) this.trouble = { stage, failure };
  }

  #startedPart(work: Work, output: string | undefined): void {
    const { ExecutionArn } = parsed(output) as { readonly ExecutionArn?: string };
    if (ExecutionArn === undefined) return;
    this.parts.add(ExecutionArn);
    this.everStarted.add(ExecutionArn);
    work.part = ExecutionArn;
  }
}

interface Work {
  readonly state: string;
  attempts: number;
  /** Or not done yet. */
  failed: boolean;
  /** The execution that does it. */
  part?: string;
  /** What the service has answered when it was done. */
  answer?: Json;
}

const stopped: Failure = { name: 'States.TaskFailed', cause: 'It was stopped from outside before it was done.' };

/** What came of it may be too long for a history. */
function parsed(text: string | undefined): Json {
  try {
    return JSON.parse(text ?? '{}') as Json;
  } catch {
    return {};
  }
}

/** Of the tests of the language those that guards are made of. */
function holds(test: Test, data: Json): boolean {
  if ('And' in test) return test.And.every((one) => holds(one, data));
  if ('IsPresent' in test) return (at(test.Variable, data) !== undefined) === test.IsPresent;
  return 'StringEquals' in test && at(test.Variable, data) === test.StringEquals;
}

const at = (path: string, data: Json): unknown =>
  path
    .split('.')
    .slice(1)
    .reduce<unknown>(
      (value, name) => (typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined),
      data,
    );
