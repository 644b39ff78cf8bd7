import { MillraceError } from '../error/index.ts';
import type { Plan } from '../plan/index.ts';
import type { RunEvent, StoredEvent } from './run-event.ts';
import type { RunId, RunRecord, RunRequest, RunState, StageRecord, StageState } from './run-state.ts';

/** A run before its first event. */
export function newRun(id: RunId, request: RunRequest, plan: Plan, at: string): RunRecord {
  const stages = plan.stages.map((stage): [string, StageRecord] => {
    const omitted = Object.hasOwn(request.omitted, stage.id);
    const state: StageState = omitted
      ? { at: 'skipped', because: { kind: 'not-selected', output: request.omitted[stage.id] ?? null } }
      : { at: 'waiting' };
    return [stage.id, { id: stage.id, state, epoch: 0, attempts: 0, losses: 0, redone: 0, settled: 0 }];
  });
  return {
    id,
    request,
    plan,
    createdAt: at,
    state: { at: 'queued', since: at, because: null },
    cancelRequestedAt: null,
    stages: new Map(stages),
    seq: 0,
  };
}

/** The run after these events: the one place where states change. Events are those of `decide` and of the log, in order. */
export function evolve(run: RunRecord, events: readonly Pick<StoredEvent, 'event' | 'at'>[]): RunRecord {
  if (events.length === 0) return run;
  const draft: Draft = { ...run, stages: new Map(run.stages) };
  for (const { event, at } of events) apply(draft, event, at);
  return draft;
}

type Draft = { -readonly [Key in keyof RunRecord]: Key extends 'stages' ? Map<string, StageRecord> : RunRecord[Key] };

/** For `decide`, which looks at the state between its events. Everybody else calls `evolve`. */
export function apply(draft: Draft, event: RunEvent, at: string): void {
  draft.seq++;
  switch (event.type) {
    case 'run.queued':
      draft.state = { at: 'queued', since: draft.state.since, because: event.because };
      return;
    case 'run.reopened':
      for (const id of event.stages) {
        const stage = stageOf(draft, id);
        const redone = event.redone.includes(id) ? stage.redone + 1 : stage.redone;
        const settled = event.closed?.includes(id) ? stage.epoch : stage.settled;
        draft.stages.set(id, { ...stage, state: { at: 'waiting' }, attempts: 0, losses: 0, redone, settled });
      }
      draft.cancelRequestedAt = null;
      draft.state = { at: 'queued', since: at, because: null };
      return;
    case 'run.cancel-requested':
      draft.cancelRequestedAt = at;
      return;
    case 'run.started':
    case 'run.succeeded':
    case 'run.cancelled':
      draft.state = { at: runStateNames[event.type], since: at } as RunState;
      return;
    case 'run.partial':
    case 'run.failed':
      draft.state = { at: runStateNames[event.type], since: at, error: event.error } as RunState;
      return;
    default:
      draft.stages.set(event.stage, afterStageEvent(stageOf(draft, event.stage), event, at));
  }
}

const runStateNames = {
  'run.started': 'running',
  'run.succeeded': 'succeeded',
  'run.cancelled': 'cancelled',
  'run.partial': 'partial',
  'run.failed': 'failed',
} as const;

type StageEvent = Extract<RunEvent, { stage: string }>;

function afterStageEvent(before: StageRecord, event: StageEvent, at: string): StageRecord {
  const stage = 'over' in event && event.over ? { ...before, settled: before.epoch } : before;
  switch (event.type) {
    case 'stage.ready':
      return { ...stage, state: { at: 'ready', since: at } };
    case 'stage.started': {
      const { attempt, epoch, worker, grants } = event;
      const state: StageState = { at: 'running', attempt, epoch, worker, since: at, ...(grants && { grants }) };
      return { ...stage, epoch, attempts: stage.attempts + 1, state };
    }
    case 'stage.elsewhere': {
      const { attempt, epoch, worker, grants, ends } = event;
      const losses = stage.state.at === 'running' ? 0 : stage.losses;
      const given = { ...(grants && { grants }), ...(ends && { ends }) };
      return { ...stage, losses, state: { at: 'elsewhere', attempt, epoch, worker, since: at, ...given } };
    }
    case 'stage.released': {
      const losses = event.because === 'lost' ? (event.afresh ? 0 : stage.losses) + 1 : 0;
      return { ...stage, attempts: stage.attempts - 1, losses, state: { at: 'ready', since: at } };
    }
    case 'stage.retrying':
      return {
        ...stage,
        attempts: event.attempt,
        losses: 0,
        state: { at: 'retrying', attempt: event.attempt, next: event.next, error: event.error },
      };
    case 'stage.succeeded':
      return { ...stage, losses: 0, state: { at: 'succeeded', since: at, attempt: event.attempt, output: event.output } };
    case 'stage.failed':
      return { ...stage, state: { at: 'failed', since: at, attempt: event.attempt, error: event.error } };
    case 'stage.cancelled':
      return { ...stage, state: { at: 'cancelled', since: at } };
    case 'stage.skipped':
      return { ...stage, state: { at: 'skipped', because: event.because } };
    default:
      return event satisfies never;
  }
}

function stageOf(run: Draft, id: string): StageRecord {
  const stage = run.stages.get(id);
  if (stage) return stage;
  throw new MillraceError('INTERNAL', {
    message: `Run ${run.id} has no stage "${id}".`,
    remedy: 'Please report this: the log of the run does not belong to its plan.',
    facts: { run: run.id, stage: id },
  });
}
