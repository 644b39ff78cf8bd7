import type { Lane, StagePhase, StreamProgress } from '@millrace/core/runtime';

/** What the progress display knows of a run. Times are milliseconds since 1970. */
export interface RunView {
  readonly id: string;
  readonly pipeline: string;
  readonly startedAt: number;
  readonly stages: readonly StageView[];
}

export interface StageView {
  readonly id: string;
  readonly lane: Lane;
  readonly at: 'waiting' | 'running' | 'retrying' | 'succeeded' | 'failed' | 'cancelled' | 'skipped';
  /** What a running stage does at the moment: `planning`, `moving`, `committing`, … */
  readonly phase: StagePhase | null;
  readonly attempt: number;
  readonly rows: number;
  readonly bytes: number;
  /** What the read plan expects, once there is one. */
  readonly expectedRows: number | null;
  readonly splits: { readonly done: number; readonly total: number } | null;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  /** Of a stage that follows changes. */
  readonly stream: StreamProgress | null;
  /** Why it waits, what went wrong, what was found. One line. */
  readonly note: string | null;
}

export const isOver = ({ at }: StageView): boolean => at === 'succeeded' || at === 'failed' || at === 'cancelled' || at === 'skipped';

/** How long a stage has run, or ran. */
export function elapsed(stage: StageView, now: number): number {
  return stage.startedAt === null ? 0 : Math.max(0, (stage.endedAt ?? now) - stage.startedAt);
}

/** Milliseconds until a running stage is done, by the rows (or the splits) that are left; null where nobody can know. */
export function remaining(stage: StageView, now: number): number | null {
  const share = doneShare(stage);
  if (stage.at !== 'running' || share === null || share < 0.02 || share > 0.995) return null;
  return (elapsed(stage, now) * (1 - share)) / share;
}

function doneShare({ expectedRows, rows, splits }: StageView): number | null {
  if (expectedRows !== null && expectedRows > 0 && rows > 0) return rows / expectedRows;
  return splits !== null && splits.total > 1 ? splits.done / splits.total : null;
}
