import type { StoredError } from '../error/index.ts';
import type { Grants, SkipReason, StageOutput } from './run-state.ts';

/**
 * How the machine of a run on Step Functions is to go on: by a redrive of its execution, or by another execution. Decided once, so that whoever
 * finds it not done yet does the same as everybody else.
 */
export type GoesOnBy = 'redrive' | 'execution';

/** What has happened to a run: the log from which its state follows (`evolve`). Stored for ever, so only ever added to. */
export type RunEvent =
  | { readonly type: 'run.queued'; readonly because: string | null }
  | { readonly type: 'run.started' }
  | { readonly type: 'run.cancel-requested' }
  /** A person asked to go on: these stages begin anew. Those in `redone` had succeeded before. */
  | {
      readonly type: 'run.reopened';
      readonly stages: readonly string[];
      readonly redone: readonly string[];
      /** Stages behind those: what they may have left at a service was begun for something else, and is theirs no more. */
      readonly closed?: readonly string[];
      readonly by?: GoesOnBy;
    }
  | { readonly type: 'run.succeeded' }
  | { readonly type: 'run.partial'; readonly error: StoredError }
  | { readonly type: 'run.failed'; readonly error: StoredError }
  | { readonly type: 'run.cancelled' }
  | { readonly type: 'stage.ready'; readonly stage: string }
  | {
      readonly type: 'stage.started';
      readonly stage: string;
      readonly attempt: number;
      readonly epoch: number;
      readonly worker: string;
      readonly grants?: Grants;
    }
  /** The work goes on at a service, or may: nobody holds it any more. */
  | {
      readonly type: 'stage.elsewhere';
      readonly stage: string;
      readonly attempt: number;
      readonly epoch: number;
      readonly worker: string | null;
      readonly grants?: Grants;
      /** The stage has given up with this, and what it may have left there is to end. */
      readonly ends?: StoredError;
    }
  /** `over`, here and below: of what a service has done or was to do for this stage nothing goes on. */
  | {
      readonly type: 'stage.retrying';
      readonly stage: string;
      /** Of a stream that had run well for a while it is 1 again: the next one counts from there. */
      readonly attempt: number;
      readonly next: string;
      readonly error: StoredError;
      readonly over?: true;
    }
  /**
   * Back to ready without an attempt spent: the worker shuts down (`released`) or has not been heard of (`lost`). `afresh`: a stream that
   * had run well for a while, so that earlier losses do not count any more.
   */
  | {
      readonly type: 'stage.released';
      readonly stage: string;
      readonly epoch: number;
      readonly because: 'released' | 'lost';
      readonly afresh?: true;
      readonly over?: true;
    }
  | {
      readonly type: 'stage.succeeded';
      readonly stage: string;
      readonly attempt: number;
      readonly output: StageOutput;
      readonly over?: true;
    }
  | { readonly type: 'stage.failed'; readonly stage: string; readonly attempt: number; readonly error: StoredError; readonly over?: true }
  | { readonly type: 'stage.cancelled'; readonly stage: string; readonly over?: true }
  | { readonly type: 'stage.skipped'; readonly stage: string; readonly because: SkipReason; readonly over?: true };

/** `seq` counts from 1 within a run, without gaps. `at` is the store's clock. */
export interface StoredEvent {
  readonly run: string;
  readonly seq: number;
  readonly at: string;
  readonly event: RunEvent;
}
