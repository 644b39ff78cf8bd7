import type {
  AlertKind,
  Plan,
  Priority,
  ReadPlan,
  RemoteHandle,
  RunRequest,
  RunState,
  StagedPart,
  StageProgress,
  StageState,
  StoredError,
} from '@millrace/core/runtime';
import type { ColumnType, Generated } from 'kysely';
import type { AlertBody } from '../observe/alerts/alert.ts';
import type { ScheduleTables } from './schedule-schema.ts';

/** The tables of the schema `millrace`, as `migrations/` make them. */
export interface StateDatabase extends ScheduleTables {
  plan: PlanTable;
  run: RunTable;
  stage: StageTable;
  attempt: AttemptTable;
  part: PartTable;
  remote: RemoteTable;
  run_event: EventTable;
  outbox: OutboxTable;
  worker: WorkerTable;
  log: LogTable;
  stream: StreamTable;
  stream_request: StreamRequestTable;
  alert: AlertTable;
  look: LookTable;
  trace: TraceTable;
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
  priority: Priority;
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
  settled: number;
  ready_at: Time | null;
  retry_at: Time | null;
  worker: string | null;
  lease_until: Time | null;
  progress: Json<StageProgress> | null;
  read_plan: Json<ReadPlan> | null;
  /** Keys of what it takes a share of while it runs; null where that is nothing. */
  limits: string[] | null;
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

interface RemoteTable {
  run: string;
  stage: string;
  work: number;
  request: string | null;
  handle: Json<RemoteHandle> | null;
  started_at: Time | null;
  look: number;
  looker: string | null;
  look_until: Time | null;
  looked_at: Time | null;
  next_at: Time | null;
  status: string | null;
  progress: number | null;
  ending_at: Time | null;
  aware: boolean | null;
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

export interface AlertTable {
  /** int8. */
  id: Generated<string>;
  /** What it is about: there is one of it for each target. */
  cause: string;
  /** The name of the target in the configuration. */
  target: string;
  kind: AlertKind;
  pipeline: string;
  run: string | null;
  body: Json<AlertBody>;
  /** When it happened. */
  since: Time;
  /** When it was found. */
  raised_at: Generated<Date>;
  /** Of a failure or lateness: when the pipeline succeeded again. */
  over_at: Time | null;
  /** `silent`: the target does not want this kind, which is only remembered. */
  at: 'open' | 'sent' | 'given-up' | 'silent';
  tries: Generated<number>;
  /** When it is due; while somebody sends it, when he is given up. */
  next_at: Generated<Date>;
  sent_at: Time | null;
  error: string | null;
}

/** Who looks for something from time to time, one process for all. */
interface LookTable {
  name: string;
  since: Generated<Date>;
  done_to: Generated<Date>;
  looked_at: Generated<Date>;
}

interface TraceTable {
  run: string;
  stage: string;
  epoch: number;
  /** https://www.w3.org/TR/trace-context/#traceparent-header */
  traceparent: string;
}

interface MigrationTable {
  name: string;
  applied_at: Generated<Date>;
  /** See `Migration`. */
  breaks: boolean;
}
