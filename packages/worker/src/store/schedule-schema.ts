import type { BackfillItemState, NewBackfill, Schedule, StoredBackfill, Tick, TickCause } from '@millrace/core/runtime';
import type { ColumnType, Generated } from 'kysely';

/** Written as JSON text, read as the value. */
type Json<T> = ColumnType<T, string, string>;
type Time = ColumnType<Date, Date | string, Date | string>;

/** The tables of `migrations/0004-schedules.ts`. */
export interface ScheduleTables {
  schedule: ScheduleTable;
  tick: TickTable;
  backfill: BackfillTable;
  backfill_item: BackfillItemTable;
}

export interface ScheduleTable {
  pipeline: string;
  fingerprint: string | null;
  definition: Json<Schedule>;
  paused: Generated<boolean>;
  evaluated_at: Time;
  next_at: Time | null;
  since: Time;
  served_at: Time;
}

export interface TickTable {
  pipeline: string;
  key: string;
  ordinal: Generated<string>;
  cause: TickCause;
  logical_time: Time;
  window_start: Time | null;
  window_end: Time | null;
  params: Json<Readonly<Record<string, string>>>;
  on_time: boolean;
  state: Tick['state'];
  because: string | null;
  run: string | null;
  made_at: Generated<Date>;
}

export interface BackfillTable {
  id: string;
  pipeline: string;
  range: Json<NewBackfill['range']>;
  direction: NewBackfill['order'];
  max_parallel: number;
  params: Json<Readonly<Record<string, string>>>;
  full_refresh: boolean;
  state: Generated<StoredBackfill['state']>;
  created_at: Generated<Date>;
  ended_at: Time | null;
}

export interface BackfillItemTable {
  backfill: string;
  ordinal: number;
  logical_time: Time;
  window_start: Time;
  window_end: Time;
  state: Generated<BackfillItemState>;
  run: string | null;
  attempt: Generated<number>;
  because: string | null;
}
