import type { RunId } from './run-state.ts';

/** How far an attempt is: totals since it began. */
export interface StageProgress {
  readonly run: RunId;
  readonly stage: string;
  readonly epoch: number;
  /** What it does: `planning`, `reading`, `committing`, … */
  readonly phase: StagePhase;
  readonly rows: number;
  readonly bytes: number;
  readonly splits: { readonly done: number; readonly total: number };
  /** What the source expects in all. */
  readonly estimate: { readonly rows: number | null; readonly bytes: number | null };
  /** Resident memory of the process that runs the stage, in bytes. */
  readonly memory: number;
  /** Milliseconds since the attempt began. */
  readonly elapsedMs: number;
}

export type StagePhase = 'starting' | 'planning' | 'moving' | 'checking' | 'committing' | 'executing' | 'done';

export interface LogLine {
  readonly run: RunId;
  readonly stage: string;
  readonly epoch: number;
  readonly at: string;
  readonly level: 'info' | 'warn' | 'stdout' | 'stderr';
  readonly message: string;
  readonly facts: Readonly<Record<string, unknown>>;
}
