import type { SecretRef } from './secret.ts';

/** What a step may know of the run it belongs to. All times are UTC, ISO 8601. */
export interface RunFacts {
  readonly id: string;
  readonly pipeline: string;
  /** The time the run is for (the schedule's tick, `--date`), not the time it runs at. */
  readonly logicalTime: string;
  /** The day of `logicalTime` in the schedule's time zone: `2026-03-29`. */
  readonly date: string;
  readonly window: { readonly start: string; readonly end: string } | null;
  readonly params: Readonly<Record<string, string>>;
}

export interface Log {
  info(message: string, facts?: Readonly<Record<string, unknown>>): void;
  warn(message: string, facts?: Readonly<Record<string, unknown>>): void;
}

/** Everything that comes from outside: time, secrets, cancellation, a place for temporary files. Tests set each of them. */
export interface Context {
  readonly run: RunFacts;
  /** Aborts on cancel, timeout, shutdown and a lost lease. Every long call takes it. */
  readonly signal: AbortSignal;
  /**
   * `refused` is the value as it was, where the other side does not accept it any more (a password that has been changed since): then it
   * is looked up anew. Answers the same value where there is no other.
   *
   * @throws SECRET_MISSING, and what the service that keeps it says: ACCESS_DENIED, REMOTE_THROTTLED, REMOTE_UNAVAILABLE
   */
  secret(ref: SecretRef, refused?: string): Promise<string>;
  now(): Date;
  readonly log: Log;
  /** A directory of this attempt alone, removed after it. */
  readonly spool: string;
  /** Adds to what the progress display shows. Cheap enough to call for each batch or chunk. */
  progress(delta: { readonly rows?: number; readonly bytes?: number }): void;
  /** Bytes of memory that the splits of this stage may use together. */
  readonly memoryBudget: number;
}
