import type {
  CaptureSource,
  ChangeTarget,
  RemoteTask,
  SchemaPolicy,
  Selection,
  StreamTables,
  Target,
  Transform,
} from '../connector/index.ts';
import type { Column, RowSchema } from '../schema/index.ts';
import type { RemoteParameters } from './remote-step.ts';
import type { ExecuteRequest } from './task-step.ts';

declare const rowType: unique symbol;

/** What a step hands on: rows of a type, changes of tables, files that hold rows, a filled table, or nothing but its end. */
export type Output = 'rows' | 'changes' | 'files' | 'table' | 'nothing';

/**
 * A step is a frozen value that holds its inputs, so a pipeline is a graph without cycles by construction. Its name is the
 * property under which `pipeline({ steps })` lists it.
 */
export interface Step<out Row = unknown, out Out extends Output = Output> {
  readonly kind: 'step';
  readonly out: Out;
  readonly [rowType]?: Row;
  readonly work: StepWork;
  /** The step whose rows or files this one reads. */
  readonly input: Step | null;
  readonly options: StepOptions;
  /** Columns that come out, where rows or files do. */
  readonly schema: RowSchema | null;
  /** Columns of each table, where changes come out. */
  readonly tables: StreamTables | null;
}

export type StepWork =
  | { readonly kind: 'extract'; readonly selection: Selection; readonly since: Since | null; readonly splitBytes: number | null }
  | { readonly kind: 'transform'; readonly transform: Transform; readonly onBadRow: OnBadRow }
  | { readonly kind: 'load'; readonly target: Target; readonly onBadRow: OnBadRow }
  | { readonly kind: 'execute'; readonly request: ExecuteRequest }
  | { readonly kind: 'remote'; readonly task: RemoteTask; readonly parameters: RemoteParameters }
  | { readonly kind: 'capture'; readonly source: CaptureSource; readonly snapshot: 'initial' | 'never'; readonly policy: SchemaPolicy }
  /** A transform for each table that has one. */
  | { readonly kind: 'transform-changes'; readonly name: string; readonly transforms: Readonly<Record<string, Transform>> }
  | { readonly kind: 'load-changes'; readonly target: ChangeTarget };

export interface Since {
  readonly column: string;
  /** Rows younger than this at the start of the run are left for the next one. */
  readonly lagMs: number;
}

/** `fail` stops at the first bad row. Else rows are set aside in `quarantine`, up to `max` of them and a share of `maxRate`. */
export type OnBadRow = 'fail' | { readonly quarantine: Target<RejectedRecord, 'rows'>; readonly max?: number; readonly maxRate?: number };

/** The row type of a quarantine. */
export interface RejectedRecord {
  readonly load_id: string;
  readonly pipeline: string;
  readonly step: string;
  readonly split: string;
  readonly ordinal: bigint;
  readonly code: string;
  readonly reason: string;
  /** JSON text of the row as it came to the step. */
  readonly row: string;
  readonly rejected_at: string;
}

export interface StepOptions {
  /** Steps that must have succeeded first, beyond the input. */
  readonly after?: readonly Step[];
  readonly retry?: RetryOptions;
  /** `'30s'`, `'10m'`, `'2h'`: for one attempt. None by default. */
  readonly timeout?: Duration;
  /** What the run does when this step has failed for good: `stop` (default) fails the run; `continue` lets independent steps and the end of the run go on (exit code 4). */
  readonly onFailure?: 'stop' | 'continue';
  /** A pool of the environment (`pools: { reporting: 2 }`): only so many stages of it run at once, in the whole fleet. */
  readonly pool?: string;
}

export interface RetryOptions {
  /** Attempts in all, the first included. 5 by default, for errors that may pass. */
  readonly attempts?: number;
  /** The first wait; doubled each time, with jitter. `'1s'` by default. */
  readonly delay?: Duration;
  /** `'5m'` by default. */
  readonly maxDelay?: Duration;
}

export type Duration = `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

/** Columns of the quarantine, for connectors that create its table. */
export type RejectedColumns = { readonly [Name in keyof RejectedRecord]: Column<RejectedRecord[Name]> };
