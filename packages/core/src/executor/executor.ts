import type { Plan } from '../plan/index.ts';
import type {
  AttemptDetail,
  LogLine,
  RunFilter,
  RunId,
  RunRecord,
  RunSummary,
  StageProgress,
  StageState,
  StoredEvent,
} from '../state/index.ts';

/**
 * Runs pipelines and says how they fare. Every method may be called from another process than the one that works on the run,
 * where both see the same state store.
 */
export interface Executor {
  /**
   * Makes a run and begins to work on it. With an `idempotencyKey` that a run of the pipeline has already, answers that run.
   *
   * Without a key, a run of the same pipeline that was left unfinished by a process which is gone is taken up instead
   * (`continued`), unless `unfinished` says otherwise. One that follows changes is ended instead, and a new one begins: where the
   * stream is the targets know.
   *
   * @throws PLAN_CHANGED where the unfinished run was made from another version · PIPELINE_INVALID · CONFIG_INVALID
   * @throws RUN_HELD where the pipeline follows changes and another process does so already
   */
  start(request: StartRequest): Promise<Started>;
  /** Goes on with a run that nobody works on: queued, running without a worker, failed, partial or cancelled. @throws RUN_NOT_FOUND, PLAN_CHANGED */
  resume(run: RunId): Promise<RunRecord>;
  /**
   * As `resume`; with `from` also the stages from that step on which had succeeded. Loads that are applied stay applied once. What a stage behind
   * those may have left at a service is not taken up again: its work begins anew.
   */
  retry(run: RunId, options?: { readonly from?: string }): Promise<RunRecord>;
  /** Asks for the end. Afterwards nothing starts; what runs is being stopped, and the run ends `cancelled`. */
  cancel(run: RunId): Promise<RunRecord>;
  /**
   * What has happened and what happens, until the run has ended or `signal` aborts. Begins after event `after` (0: at the
   * beginning). Progress is there from this process at ten a second, from another one every two seconds.
   */
  watch(run: RunId, options?: { readonly after?: number; readonly signal?: AbortSignal }): AsyncIterable<WatchEvent>;
  /** Newest first. */
  list(filter?: RunFilter): Promise<RunSummary[]>;
  /** @throws RUN_NOT_FOUND */
  show(run: RunId): Promise<RunDetail>;
  /** Oldest first. With `follow` it goes on until the run ends or `signal` aborts. */
  logs(run: RunId, options?: { readonly stage?: string; readonly follow?: boolean; readonly signal?: AbortSignal }): AsyncIterable<LogLine>;
}

export interface StartRequest {
  /** The pipeline file: it is loaded again in the process that runs the stages. */
  readonly file: string;
  /** What it compiles to, where the caller has done that already; else it is loaded and compiled here. */
  readonly plan?: Plan;
  /** ISO 8601; now by default. */
  readonly logicalTime?: string;
  readonly window?: { readonly start: string; readonly end: string };
  readonly params?: Readonly<Record<string, string>>;
  /** Steps whose stages alone are run. */
  readonly only?: readonly string[];
  /** The step from which on stages are run; those before it count as done. */
  readonly from?: string;
  readonly fullRefresh?: boolean;
  /** `caught-up`: a stream ends when it has everything that was there when it began. */
  readonly until?: 'caught-up';
  readonly idempotencyKey?: string;
  /** What to do where an unfinished run of the pipeline was left behind: go on with that one (default), or make a new one that waits. */
  readonly unfinished?: 'continue' | 'queue';
}

export interface Started {
  readonly run: RunRecord;
  /** True where this is an earlier run that was left unfinished, or one with the same idempotency key. */
  readonly continued: boolean;
}

export type WatchEvent =
  | ({ readonly kind: 'event' } & StoredEvent)
  | ({ readonly kind: 'progress' } & StageProgress)
  | ({ readonly kind: 'log' } & LogLine);

export interface RunDetail {
  readonly run: RunRecord;
  readonly abandoned: boolean;
  readonly stages: readonly StageDetail[];
  /** Why the run does not go on at this moment; null where it does or has ended. */
  readonly waits: string | null;
}

export interface StageDetail {
  readonly id: string;
  readonly state: StageState;
  /** One sentence: which need, limit, retry time or lease it waits for; null where it does not wait. */
  readonly waits: string | null;
  readonly progress: StageProgress | null;
  readonly attempts: readonly AttemptDetail[];
}
