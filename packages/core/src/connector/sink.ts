import type { RowSchema } from '../schema/index.ts';
import type { Connection } from './connection.ts';
import type { Context } from './context.ts';
import type { ReadPlan, Selection, Split, Window } from './source.ts';
import type { RejectedRow } from './transform.ts';
import type { Channel, WireFormat } from './wire.ts';

export type LoadMode = 'append' | 'merge' | 'replace' | 'history';

/**
 * A place that loads can go to: a table, a prefix of files. A frozen value of the pipeline file.
 * `takes` says what it loads: rows, or the files that an earlier load has left (Redshift's COPY).
 */
export interface Target<
  in Row = never,
  Takes extends 'rows' | 'files' = 'rows' | 'files',
  Leaves extends 'table' | 'files' = 'table' | 'files',
> {
  readonly kind: 'target';
  readonly accept?: (row: Row) => void;
  readonly takes: Takes;
  readonly leaves: Leaves;
  readonly description: TargetDescription;
  /** Where it writes, for `doctor`. */
  readonly connection?: Connection;
  /** The columns rows must have; null where it takes any. */
  readonly schema: RowSchema | null;
  readonly accepts: readonly WireFormat[];
  /** Set where bytes for this target go through DuckDB: files of any format. */
  readonly via?: 'duckdb';
  /** Problems that can be seen without connecting, in one sentence each with a remedy. */
  problems(input: RowSchema): readonly TargetProblem[];
  /** Statements that the first load would run to create what is missing, for `plan`. */
  ddl(input: RowSchema): readonly string[];
  open(context: Context): Promise<Sink>;
  /**
   * What is committed there now, as rows that can be read back: the table (current versions only where it keeps a history), the
   * files that the manifests list. For `verify`. `input` is the schema that was loaded.
   */
  stored?(input: RowSchema): Selection;
}

export interface TargetProblem {
  readonly message: string;
  readonly remedy: string;
}

export interface TargetDescription {
  readonly connector: string;
  readonly object: string;
  readonly connection: string;
  readonly mode: LoadMode;
  /** `at-least-once` where the system has no transaction that could hold data and checkpoint together. */
  readonly guarantee: 'exactly-once' | 'at-least-once';
  /** How that is so, in one phrase for the plan, where it is not by a transaction of the target. */
  readonly promise?: string;
  readonly options?: Readonly<Record<string, unknown>>;
}

export interface Sink extends AsyncDisposable {
  /** What the last committed load of this pipeline and step has stored with its data, or null before the first. */
  checkpoint(owner: LoadOwner): Promise<Checkpoint | null>;
  /** Idempotent on `load.id`. `fence` is this attempt's epoch: the sink refuses an older one with ATTEMPT_FENCED. */
  begin(load: LoadSpec, fence: Fence): Promise<LoadSession>;
}

export interface LoadOwner {
  readonly pipeline: string;
  readonly step: string;
}

export interface LoadSpec {
  /** Hash of pipeline, step, run or window, and schema: the name under which this load is applied once. */
  readonly id: string;
  readonly owner: LoadOwner;
  readonly run: string;
  /** Sorts as the runs of the pipeline do: when the run was made, UTC. */
  readonly runAt: string;
  readonly schema: RowSchema;
  readonly window: Window | null;
  /** For a target that takes files: the loads it has to read, by receipt. Otherwise empty. */
  readonly files: readonly FilesRef[];
  readonly plan: ReadPlan | null;
  /** True where splits are staged by several at once. */
  readonly parallel: boolean;
  /** `--full-refresh`: all rows are here, whatever the checkpoint at the target says. An `append` replaces what is there. */
  readonly fullRefresh?: boolean;
  /**
   * Sets aside a row that the target refuses (a constraint, a value out of range), so that the others go on; called while a
   * split of `batches` is staged. May throw, to stop the load. Left out where the first bad row fails it.
   */
  readonly reject?: (row: RejectedRow) => void;
}

/** Grows by one with each attempt at a stage; `key` names what is fenced. */
export interface Fence {
  readonly key: string;
  readonly epoch: number;
}

export interface Checkpoint {
  readonly window: Window | null;
  readonly loadId: string;
  /** Of a target that takes files: the last manifest it has applied. */
  readonly manifest?: string;
}

export interface LoadSession extends AsyncDisposable {
  /** The receipt of an earlier attempt that got as far as its commit: then nothing is staged. */
  readonly applied: Receipt | null;
  /** Set where this session can commit what sessions on other machines have staged for the same load under the same fence. */
  readonly shared?: true;
  /** Safe to repeat: same split, same name, same content. Visible to nobody yet. Several splits at once where `load.parallel`. */
  stage(split: Split, channel: Channel): Promise<StagedPart>;
  /**
   * Before the first `stage`: which of these parts, staged under the same plan by an attempt that died, are still there and whole.
   * Left out where staging dies with its attempt.
   */
  recover?(parts: readonly StagedPart[]): Promise<readonly StagedPart[]>;
  /** One atomic act: the data and the checkpoint. After it the load is applied; before it, nothing is. */
  commit(parts: readonly StagedPart[], checkpoint: Checkpoint): Promise<Receipt>;
  /** Throws away what was staged. Called at most once, instead of `commit`. */
  abort(reason: Error): Promise<void>;
}

/** JSON. `detail` is the connector's own. */
export interface StagedPart {
  readonly split: string;
  readonly rows: number;
  readonly bytes: number;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** JSON, kept with the run: what a load did. */
export interface Receipt {
  readonly loadId: string;
  readonly rows: number;
  readonly bytes: number;
  /** Counted by the target, where it tells: `{ inserted, updated, deleted }`. */
  readonly changed?: Readonly<Record<string, number>>;
  readonly files?: FilesRef;
  readonly checkpoint: Checkpoint;
}

/** Committed files, by their manifest. `location` is the dataset's root: `s3://bucket/prefix/orders/`. */
export interface FilesRef {
  readonly location: string;
  readonly manifest: string;
  readonly format: 'parquet' | 'csv' | 'jsonl';
  readonly rows: number;
}
