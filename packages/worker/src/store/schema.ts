import type { Plan, ReadPlan, RunRequest, RunState, StagedPart, StageProgress, StageState, StoredError } from '@millrace/core/runtime';
import type { ColumnType, Generated } from 'kysely';

/** The tables of the schema `millrace`, as `migrations/` make them. */
export interface StateDatabase {
  plan: PlanTable;
  run: RunTable;
  stage: StageTable;
  attempt: AttemptTable;
  part: PartTable;
  run_event: EventTable;
  outbox: OutboxTable;
  worker: WorkerTable;
  log: LogTable;
  stream: StreamTable;
  stream_request: StreamRequestTable;
  migration: MigrationTable;
}

/** Written as JSON text, read as the value. */
type Json<T> = ColumnType<T, string, string>;
type Time = ColumnType<Date, Date | string, Date | string>;

interface PlanTable {
  fingerprint: string;
  pipeline: string;
  body: Json<Plan>;
}

export interface RunTable {
  id: string;
  pipeline: string;
  fingerprint: string;
  request: Json<RunRequest>;
  /** Who works on it, see `RunStore`. */
  queue: string | null;
  at: RunState['at'];
  state: Json<RunState>;
  cancel_requested_at: Time | null;
  idempotency_key: string | null;
  created_at: Time;
  seq: number;
}

export interface StageTable {
  run: string;
  id: string;
  /** Its place in the plan. */
  ordinal: number;
  at: StageState['at'];
  state: Json<StageState>;
  epoch: number;
  attempts: number;
  losses: number;
  redone: number;
  ready_at: Time | null;
  retry_at: Time | null;
  worker: string | null;
  lease_until: Time | null;
  progress: Json<StageProgress> | null;
  read_plan: Json<ReadPlan> | null;
  /** Rows loaded, once it has succeeded. int8. */
  rows: ColumnType<string, number, number> | null;
}

interface AttemptTable {
  run: string;
  stage: string;
  epoch: number;
  attempt: number;
  worker: string;
  started_at: Time;
  ended_at: Time | null;
  result: 'running' | 'succeeded' | 'failed' | 'released' | 'lost' | 'cancelled';
  error: Json<StoredError> | null;
}

interface PartTable {
  run: string;
  stage: string;
  split: string;
  part: Json<StagedPart>;
}

interface EventTable {
  run: string;
  seq: number;
  at: Time;
  type: string;
  body: Json<unknown>;
}

interface OutboxTable {
  id: Generated<string>;
  queue: string;
  run: string;
  stage: string | null;
}

interface WorkerTable {
  id: string;
  label: string;
  lease_ms: number;
  /** Of the advisory lock that its session holds while it lives. */
  lock_key: Generated<number>;
  started_at: Generated<Date>;
  seen_at: ColumnType<Date, never, Date>;
  queue: string | null;
  /** Fingerprints; null where it runs whatever it is given. */
  plans: string[] | null;
}

interface LogTable {
  id: Generated<string>;
  run: string;
  stage: string;
  epoch: number;
  at: Time;
  level: string;
  message: string;
  facts: Json<Record<string, unknown>>;
}

interface StreamTable {
  pipeline: string;
  /** The capture. */
  step: string;
  at: Time;
  progress: Json<StageProgress>;
}

export interface StreamRequestTable {
  id: Generated<string>;
  ordinal: Generated<string>;
  pipeline: string;
  step: string;
  kind: 'resync';
  tables: Json<readonly string[]>;
  requested_at: Generated<Date>;
  answered_at: Time | null;
  error: Json<StoredError> | null;
}

interface MigrationTable {
  name: string;
  applied_at: Generated<Date>;
}
