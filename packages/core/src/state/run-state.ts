import type { Priority } from '../author/index.ts';
import type { CheckResult, Json, Receipt, RemoteHandle } from '../connector/index.ts';
import type { StoredError } from '../error/index.ts';
import type { Lane, Plan } from '../plan/index.ts';
import type { StreamProgress } from './progress.ts';

/*
 * A run is one execution of a plan; it has a state for itself and one for each stage. All times are ISO 8601, UTC, by the clock
 * of the state store.
 *
 *   run     queued ─▶ running ─▶ succeeded | partial | failed | cancelled
 *   stage   waiting ─▶ ready ─▶ running ─▶ succeeded | failed | cancelled
 *                       ▲          │
 *                       ├─ retrying┤      an error that may pass: after a pause, by the plan's `retry`
 *                       └──────────┘      given back (shutdown) or lost (no heartbeat): at once, no attempt spent
 *                       running ─▶ elsewhere ─▶ succeeded | failed | cancelled | retrying
 *                                         a service does the work: nobody holds it, and whoever looks next says how it fares;
 *                                         so also a stage that gives up while it may have left work there, until that has ended
 *           waiting ─▶ skipped            not selected, or something before it has failed
 *
 * The last column absorbs. Only `run.reopened` (resume and retry by a person) leads out of it.
 */

/** `20261121T203612-k3x9f2`: when the run was made and a random tail; sorts as runs were made. */
export type RunId = string;

export type RunState =
  /** `because` says in one sentence what it waits for. */
  | { readonly at: 'queued'; readonly since: string; readonly because: string | null }
  | { readonly at: 'running'; readonly since: string }
  | { readonly at: 'succeeded'; readonly since: string }
  /** Some step with `onFailure: 'continue'` has failed, everything else is done. */
  | { readonly at: 'partial'; readonly since: string; readonly error: StoredError }
  | { readonly at: 'failed'; readonly since: string; readonly error: StoredError }
  | { readonly at: 'cancelled'; readonly since: string };

export type StageState =
  | { readonly at: 'waiting' }
  /** Any worker that has the pipeline may claim it. */
  | { readonly at: 'ready'; readonly since: string }
  | {
      readonly at: 'running';
      readonly attempt: number;
      readonly epoch: number;
      readonly worker: string;
      readonly since: string;
      readonly grants?: Grants;
    }
  /** A service does its work, or may: nobody has a lease. `worker` has begun it; null where nobody knows whether anybody has. */
  | {
      readonly at: 'elsewhere';
      readonly attempt: number;
      readonly epoch: number;
      readonly worker: string | null;
      readonly since: string;
      readonly grants?: Grants;
      /** The stage has given up with this: it fails when nothing of it goes on any more. */
      readonly ends?: StoredError;
    }
  /** `attempt` is the one that failed with `error`. */
  | { readonly at: 'retrying'; readonly attempt: number; readonly next: string; readonly error: StoredError }
  | { readonly at: 'succeeded'; readonly since: string; readonly attempt: number; readonly output: StageOutput }
  | { readonly at: 'failed'; readonly since: string; readonly attempt: number; readonly error: StoredError }
  | { readonly at: 'cancelled'; readonly since: string }
  | { readonly at: 'skipped'; readonly because: SkipReason };

/** What an attempt may use of each limit of its stage while it runs, here or elsewhere, by `limitKey`. */
export type Grants = Readonly<Record<string, number>>;

export type SkipReason =
  /** `--only` or `--from` left it out. `output` is what it did in the last run that had it, for those who read its files. */
  | { readonly kind: 'not-selected'; readonly output: StageOutput | null }
  /** A stage it needs has failed, was cancelled or was itself skipped for such a reason. */
  | { readonly kind: 'upstream'; readonly stage: string }
  /** A stage with `onFailure: 'stop'` has failed, which ends the run. */
  | { readonly kind: 'stopped'; readonly stage: string };

/** What a stage did: kept with the run, shown by `runs show`. */
export type StageOutput =
  | {
      readonly kind: 'load';
      readonly receipt: Receipt;
      /** True where an earlier attempt had committed it. */
      readonly alreadyApplied: boolean;
      readonly lane: Lane;
      readonly splits: number;
      /** Rows that were set aside, by step. */
      readonly rejected: Readonly<Record<string, number>>;
      readonly checks: readonly CheckResult[];
    }
  /** The stream came to where it was asked to stop. */
  | {
      readonly kind: 'changes';
      readonly stream: StreamProgress;
      readonly checks: readonly CheckResult[];
    }
  | {
      readonly kind: 'execute';
      readonly alreadyDone: boolean;
      readonly rowsAffected: readonly (number | null)[];
      readonly notices: readonly string[];
      readonly checks: readonly CheckResult[];
    }
  /** Work elsewhere has ended well; `output` is what the service says of it. */
  | {
      readonly kind: 'remote';
      readonly label: string;
      readonly handle: RemoteHandle;
      readonly output: Readonly<Record<string, Json>>;
    };

/** A stage of a run, with what outlives its states. */
export interface StageRecord {
  readonly id: string;
  readonly state: StageState;
  /** Grows by one with every claim, also across resumes: the fence. */
  readonly epoch: number;
  /** Attempts that count against the plan's `retry.attempts`. */
  readonly attempts: number;
  /** Claims in a row that ended without a word: the worker or its process died. */
  readonly losses: number;
  /** Grows when a person asks for a stage again that had succeeded, so that a procedure is called again. */
  readonly redone: number;
  /** Of a stage whose work a service does: the epoch up to which all of it is over, or nothing to the run any more. Where `epoch` is greater, some may go on. */
  readonly settled: number;
}

/** What a run was asked to do. Fixed when it is made. */
export interface RunRequest {
  readonly pipeline: string;
  /** The time the run is for, UTC. */
  readonly logicalTime: string;
  /** The day of `logicalTime` in the schedule's time zone. */
  readonly date: string;
  readonly window: { readonly start: string; readonly end: string } | null;
  readonly params: Readonly<Record<string, string>>;
  /** Ignore stored watermarks and read everything again. */
  readonly fullRefresh: boolean;
  /** `caught-up`: a stream ends when it has everything that was there when it began. Else it goes on until somebody stops it. */
  readonly until?: 'caught-up';
  /** Stages that do not take part, see `SkipReason`. */
  readonly omitted: Readonly<Record<string, StageOutput | null>>;
  /** The pipeline file, for whoever goes on with the run on the same machine. */
  readonly file: string | null;
  readonly idempotencyKey: string | null;
  /** Of this run; the pipeline's where it is left out. */
  readonly priority?: Priority;
}

/** Everything that is decided upon: a run with its plan and all its stages. */
export interface RunRecord {
  readonly id: RunId;
  readonly request: RunRequest;
  readonly plan: Plan;
  readonly createdAt: string;
  readonly state: RunState;
  /** When somebody asked to cancel it. Stages that run are being stopped; nothing starts any more. */
  readonly cancelRequestedAt: string | null;
  /** In the order of the plan. */
  readonly stages: ReadonlyMap<string, StageRecord>;
  /** Of the last event. */
  readonly seq: number;
}

export type EndedRun = Extract<RunState, { at: 'succeeded' | 'partial' | 'failed' | 'cancelled' }>;

export function isEnded(state: RunState): state is EndedRun {
  return state.at === 'succeeded' || state.at === 'partial' || state.at === 'failed' || state.at === 'cancelled';
}

export function isFinal(state: StageState): boolean {
  return state.at === 'succeeded' || state.at === 'failed' || state.at === 'cancelled' || state.at === 'skipped';
}
