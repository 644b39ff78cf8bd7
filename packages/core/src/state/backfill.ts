import type { RunId } from './run-state.ts';

/*
 * A backfill is a range cut into items, one run each. Its rows are there before its first run, so that it can be shown, stopped and
 * gone on with at any time:
 *
 *   backfill  running ─▶ succeeded | failed        all items have ended; failed where one has
 *                └─────▶ cancelling ─▶ cancelled   what runs is being stopped
 *   item      pending ─▶ launching ─▶ running ─▶ succeeded | failed | cancelled
 *
 * `resume` leads back to running, and from the item's last two states back to pending.
 */

export interface NewBackfill {
  readonly id: string;
  readonly pipeline: string;
  /** The range and how it was cut, for people. */
  readonly range: { readonly start: string; readonly end: string; readonly by: BackfillUnit };
  readonly order: 'oldest' | 'newest';
  readonly maxParallel: number;
  readonly params: Readonly<Record<string, string>>;
  readonly fullRefresh: boolean;
  /** In the order in which they are to be run. */
  readonly items: readonly BackfillSlice[];
}

/** `schedule`: the times of the pipeline's own schedule. */
export type BackfillUnit = 'hour' | 'day' | 'week' | 'month' | 'schedule';

export interface BackfillSlice {
  readonly logicalTime: string;
  readonly window: { readonly start: string; readonly end: string };
}

export interface StoredBackfill extends Omit<NewBackfill, 'items'> {
  readonly state: 'running' | 'cancelling' | 'cancelled' | 'succeeded' | 'failed';
  readonly createdAt: string;
  readonly endedAt: string | null;
  readonly counts: Readonly<Record<BackfillItemState, number>>;
}

export type BackfillItemState = 'pending' | 'launching' | 'running' | 'succeeded' | 'failed' | 'cancelled';

export interface BackfillItem extends BackfillSlice {
  readonly ordinal: number;
  readonly state: BackfillItemState;
  /** The newest one. */
  readonly run: RunId | null;
  /** Grows when it is to be done again. */
  readonly attempt: number;
  /** Why no run could be made. */
  readonly because: string | null;
}

export interface BackfillStep {
  readonly pipeline: string;
  readonly params: Readonly<Record<string, string>>;
  readonly fullRefresh: boolean;
  readonly launch: readonly BackfillItem[];
  readonly cancel: readonly RunId[];
}
