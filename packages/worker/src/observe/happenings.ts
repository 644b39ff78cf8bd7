import { type PlanStage, type RunRecord, type StageOutput, type StoredError, type StoredEvent, stagesById } from '@millrace/core/runtime';

/** What an event of a run says to those who measure: with the times and names that the event alone does not carry. */
export type Happening =
  | { readonly type: 'run.started'; readonly run: string; readonly pipeline: string; readonly at: string; readonly waitedMs: number }
  | RunEnded
  | AttemptStarted
  | AttemptEnded;

export interface RunEnded {
  readonly type: 'run.ended';
  readonly run: string;
  readonly pipeline: string;
  readonly at: string;
  readonly result: 'succeeded' | 'partial' | 'failed' | 'cancelled';
  /** Since it was started, or reopened. */
  readonly durationMs: number;
  readonly error: StoredError | null;
}

/** One attempt at a stage. */
export interface AttemptRef {
  readonly run: string;
  readonly pipeline: string;
  readonly stage: string;
  readonly epoch: number;
}

export interface AttemptStarted extends AttemptRef {
  readonly type: 'attempt.started';
  readonly at: string;
  readonly attempt: number;
  readonly worker: string;
  /** How long it was ready. */
  readonly waitedMs: number;
  /** An attempt before it was lost: the stage has been recovered. */
  readonly recovers: boolean;
  readonly kind: PlanStage['kind'];
  readonly needs: readonly string[];
}

export interface AttemptEnded extends AttemptRef {
  readonly type: 'attempt.ended';
  readonly at: string;
  readonly attempt: number;
  readonly worker: string;
  /** `elsewhere`: a service goes on with it, and it ends once more. */
  readonly result: 'succeeded' | 'failed' | 'retrying' | 'released' | 'lost' | 'cancelled' | 'elsewhere';
  readonly durationMs: number;
  /** Of a load that has succeeded. */
  readonly rows: number;
  readonly bytes: number;
  readonly error: StoredError | null;
}

/** Pure: the same run and the same events give the same answer. `before` is the run as it was before the first event. */
export function happenings(before: RunRecord, events: readonly StoredEvent[]): Happening[] {
  let since = before.state.at === 'running' ? before.state.since : null;
  return events.flatMap((stored): Happening[] => {
    if (stored.event.type === 'run.started') since = stored.at;
    const one = happening(before, stored, since);
    return one === null ? [] : [one];
  });
}

function happening(before: RunRecord, { event, at }: StoredEvent, since: string | null): Happening | null {
  const run = { run: before.id, pipeline: before.request.pipeline, at };
  switch (event.type) {
    case 'run.started':
      return { type: 'run.started', ...run, waitedMs: elapsed(before.state.since, at) };
    case 'run.succeeded':
    case 'run.cancelled':
    case 'run.partial':
    case 'run.failed': {
      const result =
        event.type === 'run.succeeded'
          ? 'succeeded'
          : event.type === 'run.cancelled'
            ? 'cancelled'
            : event.type === 'run.partial'
              ? 'partial'
              : 'failed';
      return { type: 'run.ended', ...run, result, durationMs: elapsed(since ?? at, at), error: 'error' in event ? event.error : null };
    }
    case 'stage.started': {
      const { stage, epoch, attempt, worker } = event;
      const record = before.stages.get(stage);
      const { kind = 'rows', needs = [] } = stagesById(before.plan).get(stage) ?? {};
      const waitedMs = record?.state.at === 'ready' ? elapsed(record.state.since, at) : 0;
      return { type: 'attempt.started', ...run, stage, epoch, attempt, worker, waitedMs, recovers: (record?.losses ?? 0) > 0, kind, needs };
    }
    case 'stage.succeeded':
      return ended(before, event.stage, at, 'succeeded', null, event.output);
    case 'stage.failed':
      return ended(before, event.stage, at, 'failed', event.error);
    case 'stage.retrying':
      return ended(before, event.stage, at, 'retrying', event.error);
    case 'stage.released':
      return ended(before, event.stage, at, event.because, null);
    case 'stage.cancelled':
      return ended(before, event.stage, at, 'cancelled', null);
    case 'stage.elsewhere':
      return ended(before, event.stage, at, 'elsewhere', event.ends ?? null);
    default:
      return null;
  }
}

function ended(
  before: RunRecord,
  stage: string,
  at: string,
  result: AttemptEnded['result'],
  error: StoredError | null,
  output?: StageOutput,
): AttemptEnded | null {
  const state = before.stages.get(stage)?.state;
  // What is elsewhere without a worker is an attempt that has ended before.
  if ((state?.at !== 'running' && state?.at !== 'elsewhere') || state.worker === null) return null;
  const { attempt, epoch, worker, since } = state;
  const { rows = 0, bytes = 0 } = output?.kind === 'load' && !output.alreadyApplied ? output.receipt : {};
  const ref = { run: before.id, pipeline: before.request.pipeline, stage, epoch };
  return { type: 'attempt.ended', ...ref, at, attempt, worker, result, durationMs: elapsed(since, at), rows, bytes, error };
}

/** Both by the store's clock. */
const elapsed = (from: string, to: string): number => Math.max(0, Date.parse(to) - Date.parse(from));
