import type {
  AttemptProgress,
  Environment,
  LogLine,
  Looked,
  LookJob,
  Plan,
  ReadPlan,
  RemoteHandle,
  SplitClaim,
  StagedPart,
  StageJob,
  StageOutput,
  StoredError,
} from '@millrace/core/runtime';

/*
 * What a worker and the process that runs its stages say to each other, in Node's own IPC (structured clones).
 *
 *   worker ──load──▶ process      once: the pipeline file, so that it is there when the first stage comes
 *   worker ──plan──▶ process ──plan | failed──▶ worker     what the file compiles to
 *   worker ──run───▶ process      one stage at a time, or (`help`) splits of one that another worker runs, or one `look` at work elsewhere
 *   worker ──stop──▶ process      end the stage; whoever does not within the grace period is killed
 *   process ──store──▶ worker ──stored──▶ process     the state store is the worker's; it answers with a value where one was asked for
 *   process ──progress, log, secret──▶ worker
 *   process ──succeeded | elsewhere | helped | looked | failed──▶ worker   the outcome of `run`
 *
 * When the worker dies the channel closes, and the process ends.
 */

export type ToProcess =
  | { readonly type: 'load'; readonly file: string; readonly directory: string; readonly sources: NonNullable<Environment['secrets']> }
  | { readonly type: 'plan' }
  | {
      readonly type: 'run';
      readonly job: StageJob;
      readonly fingerprint: string;
      readonly spool: string;
      readonly help: boolean;
      readonly look?: LookJob;
      /** The span of the attempt, as a traceparent; null where nobody traces. */
      readonly trace: string | null;
    }
  | { readonly type: 'stop'; readonly reason: StoredError; readonly graceMs: number }
  | { readonly type: 'stored'; readonly id: number; readonly error: StoredError | null; readonly value?: unknown };

export type FromProcess =
  | { readonly type: 'plan'; readonly plan: Plan }
  | { readonly type: 'progress'; readonly progress: AttemptProgress; readonly memory: number; readonly elapsedMs: number }
  | { readonly type: 'log'; readonly line: Pick<LogLine, 'at' | 'level' | 'message' | 'facts'> }
  /** Not to be shown: the worker takes it out of whatever the process writes past us. */
  | { readonly type: 'secret'; readonly value: string }
  | { readonly type: 'store'; readonly id: number; readonly what: StoreRequest }
  | { readonly type: 'succeeded'; readonly output: StageOutput }
  /** The stage's work goes on at a service. */
  | { readonly type: 'elsewhere'; readonly handle: RemoteHandle }
  | { readonly type: 'helped'; readonly splits: number }
  | { readonly type: 'looked'; readonly looked: Looked }
  | { readonly type: 'failed'; readonly error: StoredError };

export type StoreRequest =
  | { readonly type: 'plan'; readonly plan: ReadPlan }
  | { readonly type: 'part'; readonly part: StagedPart }
  | { readonly type: 'forget-parts' }
  | { readonly type: 'offer-splits'; readonly splits: readonly string[] }
  /** Answered with `SplitClaims`. */
  | { readonly type: 'claim-splits'; readonly most: number }
  | { readonly type: 'store-split'; readonly claim: SplitClaim; readonly part: StagedPart }
  /** Answered with `StagedPart[]`. */
  | { readonly type: 'staged' }
  /** Answered with `RemoteIntent`. */
  | { readonly type: 'intend-remote' }
  /** Answered with the handle that counts, or null. */
  | { readonly type: 'remote-started'; readonly work: number; readonly handle: RemoteHandle; readonly firstLookMs: number }
  /** Answered with `StreamRequest[]`. */
  | { readonly type: 'stream-requests' }
  | { readonly type: 'answer-request'; readonly id: string; readonly error: StoredError | null };
