import type { Finding } from './connection.ts';
import type { Context } from './context.ts';
import type { Fence, LoadOwner } from './sink.ts';
import type { SqlResult } from './sql.ts';

/** What a database is to have or to do, said as data: how it is done depends on what the database has already. */
export type DatabaseTask = RefreshTask | PartitionsTask | ObjectsTask;

/** Materialized views to refresh. Those that read others of them come after these. */
export interface RefreshTask {
  readonly kind: 'refresh';
  readonly views: readonly string[];
  /** Readers go on reading the old rows meanwhile; the view needs a unique index. */
  readonly concurrently: boolean;
}

/** Range partitions of a table, for the periods of the run and for those to come. */
export interface PartitionsTask {
  readonly kind: 'partitions';
  readonly table: string;
  readonly by: PartitionPeriod;
  /** Periods beyond the present one. */
  readonly ahead: number;
  /** Whose midnights bound a day, a week and a month. */
  readonly timeZone: string;
  /** Null where partitions stay for ever. */
  readonly expired: { readonly afterMs: number; readonly action: 'tell' | 'detach' | 'drop' } | null;
}

export type PartitionPeriod = 'hour' | 'day' | 'week' | 'month';

/** Views, functions, procedures, triggers and types, kept as files of SQL. */
export interface ObjectsTask {
  readonly kind: 'objects';
  /** Absolute; where the files were read from when the pipeline was loaded. */
  readonly folder: string;
  /** In the order in which they are run. */
  readonly files: readonly SqlFile[];
  /** What becomes of objects that no file makes any longer. */
  readonly removed: 'tell' | 'drop';
  /** What becomes of objects that somebody else has changed while their file stayed the same. */
  readonly changed: 'tell' | 'restore';
}

export interface SqlFile {
  /** From the folder, with `/` between its parts. */
  readonly name: string;
  /** SHA-256 of the text, in hex. */
  readonly hash: string;
  readonly text: string;
}

/** A database that does tasks. */
export interface TaskRunner {
  /** Does the task once for `request.id`: what was done is committed together with the note that it was. */
  perform(task: DatabaseTask, request: TaskRequest, context: Context): Promise<SqlResult>;
  /** What it would do now, and what stands in its way. Changes nothing. */
  preview(task: DatabaseTask, owner: LoadOwner, context: Context): Promise<readonly Finding[]>;
}

export interface TaskRequest {
  readonly id: string;
  readonly fence: Fence;
  /** Whose objects they are: those of one step are not another's. */
  readonly owner: LoadOwner;
}
