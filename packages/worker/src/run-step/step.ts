import type { Environment, Lease, Plan, RunStore, StageRef, StoredError } from '@millrace/core/runtime';
import type { Redactor } from '../secrets/redact.ts';

/** A stage that a state machine has come to, and what it knows of the run. */
export interface Step extends StageRef {
  /** As the machine was compiled: the plan's fingerprint. */
  readonly plan: string;
  /** Stages that have failed, and may. */
  readonly failed: readonly string[];
  /** How often the run is to have been reopened: by redrives of its execution, and for executions that went on with it. */
  readonly reopenings: number;
  /** How many of these were redrives of its execution. */
  readonly redrives: number;
  /** True where a part of the execution was redriven by itself, of which the rest knows nothing. */
  readonly alone: boolean;
  /** True for one who shares in the splits of the attempt that another makes. */
  readonly helps: boolean;
  /** What the run is asked to do, where nobody has recorded it yet. */
  readonly request: StepRunRequest;
}

export interface StepRunRequest {
  /** ISO 8601. */
  readonly logicalTime: string;
  /** Null for the day of that time in the schedule's time zone. */
  readonly date: string | null;
  readonly window: { readonly start: string; readonly end: string } | null;
  readonly params: Readonly<Record<string, string>>;
}

/** What has come of it. */
export type StepEnd =
  /** It has succeeded, now or before; or is not part of this run; or there is nothing left to help with. */
  | { readonly at: 'done' }
  /** The attempt has failed, and the next one is the machine's to begin. */
  | { readonly at: 'retry'; readonly error: StoredError }
  /** For good: who tries again gets the same answer. */
  | { readonly at: 'failed'; readonly error: StoredError }
  /** Asked to end before it was over; what was not committed is given back. */
  | { readonly at: 'stopped'; readonly error: StoredError };

export interface StepOptions {
  readonly store: RunStore;
  /** The pipeline as it is here. */
  readonly pipeline: { readonly file: string; readonly plan: Plan };
  /** Its abort asks the stage to stop, which has `graceMs` for it. */
  readonly signal: AbortSignal;
  readonly directory: string;
  readonly environment?: Pick<Environment, 'secrets' | 'memory' | 'pools'>;
  readonly redactor: Redactor;
  /** As `workerId` makes them. */
  readonly id: string;
  readonly trace?: (attempt: Lease) => string | null;
  /** Milliseconds without a heartbeat after which another task may take the stage over; 60,000 by default. */
  readonly leaseMs?: number;
  /** 20,000 by default. */
  readonly graceMs?: number;
}
