import type { RemoteHandle, StreamHealth } from '../connector/index.ts';
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
  /** Of a stage that follows changes. */
  readonly stream?: StreamProgress;
  /** Of a stage whose work a service does. */
  readonly remote?: RemoteProgress;
  /** Resident memory of the process that runs the stage, in bytes. */
  readonly memory: number;
  /** Milliseconds since the attempt began. */
  readonly elapsedMs: number;
}

export type StagePhase =
  | 'starting'
  | 'planning'
  | 'moving'
  | 'checking'
  | 'committing'
  | 'executing'
  /** A service does the work. */
  | 'elsewhere'
  /** First copies of the tables of a stream. */
  | 'copying'
  | 'streaming'
  | 'done';

export interface RemoteProgress {
  /** What the service says, in a word; null before the first look. */
  readonly status: string | null;
  /** From 0 to 1, where the service says it. */
  readonly progress: number | null;
  /** Its name at the service. */
  readonly id: string | null;
  readonly link: string | null;
}

/** Of a stage whose work goes on at a service, as people are shown it. */
export function elsewhereProgress({
  run,
  stage,
  epoch,
  handle,
  status,
  progress,
  elapsedMs,
}: Pick<StageProgress, 'run' | 'stage' | 'epoch' | 'elapsedMs'> & {
  readonly handle: RemoteHandle | null;
  readonly status: string | null;
  readonly progress: number | null;
}): StageProgress {
  return {
    run,
    stage,
    epoch,
    phase: 'elsewhere',
    rows: 0,
    bytes: 0,
    splits: { done: 0, total: 0 },
    estimate: { rows: null, bytes: null },
    remote: { status, progress, id: handle?.id ?? null, link: handle?.link ?? null },
    memory: 0,
    elapsedMs,
  };
}

/** Where a stream is: what `millrace status` shows. */
export interface StreamProgress {
  readonly source: string;
  readonly slot: string | null;
  readonly tables: Readonly<Record<string, StreamTableState>>;
  readonly sinks: readonly {
    readonly name: string;
    readonly object: string;
    readonly position: string | null;
    readonly deadLetters: number;
  }[];
  /** What all sinks have. */
  readonly position: string | null;
  readonly transactions: number;
  readonly changes: number;
  readonly changesPerSecond: number;
  /** From commit at the source to durable at the slowest sink, of what was applied last; 0 where nothing waits. */
  readonly lagMs: number | null;
  readonly health: StreamHealth | null;
  readonly at: string;
}

export type StreamTableState =
  | { readonly at: 'waiting' }
  | { readonly at: 'copying'; readonly splits: { readonly done: number; readonly total: number } }
  /** Copied, and its changes up to now are on their way. */
  | { readonly at: 'catching-up' }
  | { readonly at: 'ready' };

export interface LogLine {
  readonly run: RunId;
  readonly stage: string;
  readonly epoch: number;
  readonly at: string;
  readonly level: 'info' | 'warn' | 'stdout' | 'stderr';
  readonly message: string;
  readonly facts: Readonly<Record<string, unknown>>;
}
