import type { StoredError } from '../error/index.ts';
import type { RunEvent } from './run-event.ts';
import type { RunId, RunRecord, RunState, StageRecord, StageState } from './run-state.ts';

export interface RunFilter {
  readonly pipeline?: string;
  readonly states?: readonly RunState['at'][];
  readonly limit?: number;
  /** Runs made before this one, for the next page. */
  readonly before?: RunId;
}

export interface RunSummary {
  readonly id: RunId;
  readonly pipeline: string;
  readonly fingerprint: string;
  readonly state: RunState;
  readonly createdAt: string;
  readonly logicalTime: string;
  readonly window: { readonly start: string; readonly end: string } | null;
  readonly cancelRequestedAt: string | null;
  readonly stages: Readonly<Record<StageState['at'], number>>;
  readonly rows: number;
  /** True where it is unfinished and no living process works on it: `resume` takes it up. */
  readonly abandoned: boolean;
}

export interface AttemptDetail {
  readonly attempt: number;
  readonly epoch: number;
  readonly worker: string;
  readonly started: string;
  readonly ended: string | null;
  readonly result: 'running' | 'succeeded' | 'failed' | 'released' | 'lost' | 'cancelled';
  readonly error: StoredError | null;
}

/** How an attempt ended, by the event that ended it. */
export function attemptResult(event: RunEvent): AttemptDetail['result'] {
  switch (event.type) {
    case 'stage.succeeded':
      return 'succeeded';
    case 'stage.released':
      return event.because;
    case 'stage.cancelled':
      return 'cancelled';
    default:
      return 'failed';
  }
}

export function summarise(run: RunRecord, abandoned: boolean): RunSummary {
  const stages: Record<StageState['at'], number> = {
    waiting: 0,
    ready: 0,
    running: 0,
    elsewhere: 0,
    retrying: 0,
    succeeded: 0,
    failed: 0,
    cancelled: 0,
    skipped: 0,
  };
  for (const { state } of run.stages.values()) stages[state.at]++;
  return {
    id: run.id,
    pipeline: run.request.pipeline,
    fingerprint: run.plan.fingerprint,
    state: run.state,
    createdAt: run.createdAt,
    logicalTime: run.request.logicalTime,
    window: run.request.window,
    cancelRequestedAt: run.cancelRequestedAt,
    stages,
    rows: rowsLoaded(run.stages.values()),
    abandoned,
  };
}

function rowsLoaded(stages: Iterable<StageRecord>): number {
  let rows = 0;
  for (const { state } of stages) if (state.at === 'succeeded' && state.output.kind === 'load') rows += state.output.receipt.rows;
  return rows;
}
