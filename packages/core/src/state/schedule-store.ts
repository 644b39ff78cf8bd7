import type { Schedule } from '../author/index.ts';
import type { StoredError } from '../error/index.ts';
import type { BackfillItem, BackfillStep, NewBackfill, StoredBackfill } from './backfill.ts';
import type { RunId } from './run-state.ts';

/*
 * What makes runs is a tick: one row for each time of a schedule and for each event of a trigger, known by (pipeline, key). Its key is
 * the idempotency key of its run, so that there is one run for it however many schedulers see it, and whenever they die:
 *
 *   waiting ─▶ launching ─▶ started     the run is there
 *      │           └──────▶ refused     it cannot be made: the message says why
 *      ├─▶ skipped                      by `overlap`
 *   missed                              by `catchUp`
 *
 * From `launching` on the run may be there or not: whoever looks next asks for it again, under the same key.
 */

/** Schedules, triggers and backfills. Any number of schedulers use it at the same time; its clock is the only clock. */
export interface ScheduleStore extends AsyncDisposable {
  now(): Promise<Date>;
  /**
   * The only way in which a schedule changes: its row is locked, `decide` is called once with it and the store's time, and what it
   * returns is stored, all or nothing. Answers null, without having asked, where another process is at it. Ticks that are there
   * already are left as they are.
   */
  change(pipeline: string, decide: (view: ScheduleView, now: Date) => ScheduleChange): Promise<ScheduleView | null>;
  /** Says that these versions are still served. Answers the pipelines for which another version is served now, and by nobody else for long. */
  serve(deployed: readonly { readonly pipeline: string; readonly fingerprint: string }[], deadMs: number): Promise<string[]>;
  /** Which of these pipelines have something to do, and in how many milliseconds the next one has. */
  due(pipelines: readonly string[]): Promise<{ readonly pipelines: readonly string[]; readonly nextMs: number | null }>;
  schedules(): Promise<StoredSchedule[]>;
  /** Null where there is no such schedule. */
  pause(pipeline: string, paused: boolean): Promise<StoredSchedule | null>;
  /**
   * Forgets a schedule with its ticks; its runs and backfills stay. Not one that a scheduler has served in the last `servedMs`: it would
   * be there again, as a new one.
   */
  forget(pipeline: string, servedMs: number): Promise<'forgotten' | 'served' | 'unknown'>;

  /** Adds ticks of triggers. Those whose key is there already change nothing; answers how many were new. */
  offer(pipeline: string, ticks: readonly NewTick[]): Promise<number>;
  tick(pipeline: string, key: string): Promise<Tick | null>;
  /** Newest first. */
  ticks(pipeline: string, limit: number): Promise<Tick[]>;
  launching(pipeline: string): Promise<Tick[]>;
  settle(pipeline: string, key: string, outcome: { readonly run: RunId } | { readonly refused: StoredError }): Promise<void>;
  /** Forgets ticks that were settled more than `days` ago; those of files stay, since a file may be there for longer. */
  forgetTicks(days: number): Promise<void>;
  /** One tick for each run of `upstream` that has succeeded since the trigger was there. Answers how many were new. */
  offerSuccesses(pipeline: string, upstream: string): Promise<number>;

  createBackfill(backfill: NewBackfill): Promise<StoredBackfill>;
  /** Newest first. */
  backfills(filter: { readonly pipelines?: readonly string[]; readonly limit: number }): Promise<StoredBackfill[]>;
  /** Ids of those of these pipelines that are not done, oldest first. */
  openBackfills(pipelines: readonly string[]): Promise<string[]>;
  /** Null where there is none. */
  backfill(id: string): Promise<StoredBackfill | null>;
  backfillItems(id: string): Promise<BackfillItem[]>;
  /** Asks for its end: nothing more is begun, and what runs is asked to stop. */
  cancelBackfill(id: string): Promise<StoredBackfill | null>;
  /** What was cancelled or has failed (or only what has failed) is to be done after all. */
  resumeBackfill(id: string, options: { readonly onlyFailed: boolean }): Promise<StoredBackfill | null>;
  /** Notes which runs have ended and decides what is next. Null where another process is at it. */
  stepBackfill(id: string): Promise<BackfillStep | null>;
  settleItem(id: string, ordinal: number, outcome: { readonly run: RunId } | { readonly refused: StoredError }): Promise<void>;
}

export interface StoredSchedule {
  readonly pipeline: string;
  /** Of the plan that is deployed; null before the first deployment. */
  readonly fingerprint: string | null;
  readonly schedule: Schedule;
  readonly paused: boolean;
  /** Up to when its times have been looked at. */
  readonly evaluatedAt: string;
  readonly nextAt: string | null;
  /** Since when there is this schedule, as it is. */
  readonly since: string;
  /** When a scheduler last said that it serves it. */
  readonly servedAt: string;
}

export interface ScheduleView {
  readonly schedule: StoredSchedule;
  /** Ticks that wait or are being launched, oldest first. */
  readonly open: readonly Tick[];
  /** Unfinished runs that ticks have made. */
  readonly active: readonly RunId[];
}

/** What is left out stays as it is. */
export interface ScheduleChange {
  readonly deployed?: { readonly fingerprint: string; readonly schedule: Schedule; readonly since: Date };
  readonly evaluatedAt?: Date;
  readonly nextAt?: Date | null;
  readonly ticks?: readonly NewTick[];
  /** Keys of waiting ticks, and what becomes of them. */
  readonly launch?: readonly string[];
  readonly skip?: readonly { readonly key: string; readonly because: string }[];
}

export type TickCause = 'schedule' | 'success' | 'file' | 'notify' | 'request';

export interface NewTick {
  /** `schedule:2026-03-29T01:00:00.000Z`, `file:s3://…@etag`, `success:<run>` */
  readonly key: string;
  readonly cause: TickCause;
  /** Null for now, by the store's clock. */
  readonly logicalTime: string | null;
  readonly window: { readonly start: string; readonly end: string } | null;
  readonly params: Readonly<Record<string, string>>;
  /** False for a time that is made up for. */
  readonly onTime: boolean;
  readonly state: 'waiting' | 'missed' | 'skipped';
  readonly because: string | null;
}

export interface Tick extends Omit<NewTick, 'state' | 'logicalTime'> {
  readonly logicalTime: string;
  readonly pipeline: string;
  readonly state: 'waiting' | 'launching' | 'started' | 'refused' | 'skipped' | 'missed';
  readonly madeAt: string;
  readonly run: RunId | null;
}
