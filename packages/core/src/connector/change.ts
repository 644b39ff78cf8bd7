import type { ColumnBatch } from '../batch/index.ts';
import type { ColumnSchema, RowSchema } from '../schema/index.ts';
import type { Connection, Finding } from './connection.ts';
import type { Context } from './context.ts';
import type { Position } from './position.ts';
import type { Fence, LoadOwner, StagedPart, TargetProblem } from './sink.ts';
import type { RowSource, Selection, Split } from './source.ts';
import type { Channel, WireFormat } from './wire.ts';

/*
 * A stream of changes, from a source that remembers them in commit order to sinks that apply them exactly once.
 *
 *   stream   (no slot) ─▶ copying ─▶ streaming        a slot is made once; its snapshot and what it streams have no gap and no overlap
 *   table    (unknown) ─▶ copying ─▶ copied at P      changes of a table up to P are in its copy already and are left out
 *
 * Each sink keeps, with its data and in the same transaction, which stream it follows, how far it has come, and which tables are
 * copied up to where: `SinkState`. So a crash costs time only: the next attempt asks the sinks where they are and goes on from there.
 * A sink's state belongs to one stream (`StreamIdentity`); what belongs to another is RESYNC_REQUIRED, never "probably the same".
 */

/** What a pipeline captures: tables of a database, by their names in the pipeline. A frozen value; opening it makes the source. */
export interface CaptureSource<Tables = unknown> {
  readonly kind: 'capture-source';
  readonly rows?: Tables;
  readonly description: CaptureDescription;
  readonly connection: Connection;
  readonly tables: Readonly<Record<string, CapturedTable>>;
  /** Formats in which the first copy of a table can be read, cheapest first. */
  readonly offers: readonly WireFormat[];
  /** Checks everything a stream depends on, without starting it: for `doctor` and before every start. */
  examine(context: Context, stream: StreamName): Promise<readonly Finding[]>;
  /**
   * `epoch` is this attempt's, as in the fences of the sinks: an attempt that wakes up late must not begin a stream in place of the one
   * that a later attempt follows.
   */
  open(context: Context, stream: StreamName, epoch?: number): Promise<ChangeSource>;
}

/**
 * Another way to the changes of a connection than its own: `capture(shop, { tables, engine: dms({ … }) })`. `native` is what the connection
 * would have captured itself: its tables, and where they are.
 */
export interface CaptureEngine {
  readonly kind: 'capture-engine';
  capture(native: CaptureSource): CaptureSource;
}

export interface CapturedTable {
  /** As it is declared at the source: `public.orders`. */
  readonly name: string;
  readonly schema: RowSchema;
  /** Its rows as they are now, for `verify`. */
  readonly selection: Selection;
}

export interface CaptureDescription {
  readonly connector: string;
  readonly connection: string;
  readonly options?: Readonly<Record<string, unknown>>;
}

/** The stream is named after these, so that two pipelines do not share a slot. */
export interface StreamName {
  readonly pipeline: string;
  /** The capture step. */
  readonly step: string;
}

/** Which stream a position counts. JSON; equal in every field or another stream. */
export interface StreamIdentity {
  /** The system that was read, as it calls itself: `postgres:7312345678901234567/shop` (system identifier and database). */
  readonly source: string;
  /** The slot, or what remembers the stream at the source. */
  readonly slot: string;
  /** Where the stream began. A slot that was made anew begins elsewhere. */
  readonly origin: Position;
}

/** One attempt's hold on a capture: at most one at a time reads a stream. */
export interface ChangeSource extends AsyncDisposable {
  /**
   * The stream as the source remembers it, or null where there is none. `confirmed`: everything before has been released;
   * `end`: as far as the source has written now.
   *
   * @throws RESYNC_REQUIRED where it is there and cannot be read on (invalidated)
   */
  stream(): Promise<StreamStatus | null>;
  /**
   * Throws away a stream that no sink follows and begins a new one. Its snapshot holds what was committed before `identity.origin`.
   *
   * @throws ATTEMPT_FENCED where an attempt of a later epoch has begun one
   */
  create(): Promise<{ readonly identity: StreamIdentity; readonly snapshot: TableSnapshot }>;
  /** Of the running stream: another look at some tables, at a later position, which `read` of the snapshot goes on from. */
  snapshot(tables: readonly string[]): Promise<TableSnapshot>;
  /**
   * Everything committed after `after`, oldest first, in groups of whole transactions. Ends when `signal` aborts. Where `until` is
   * given it ends at the first group whose position is at or after it. Call once.
   */
  read(after: Position, options: ReadChanges): AsyncIterable<ChangeGroup>;
  /** All sinks have made everything up to `position` durable; the source may forget it. Cheap: called after every group. */
  release(position: Position): void;
  /** Writes something small into the source's log, so that whoever reads a quiet stream comes to where the log is now. */
  nudge(): Promise<void>;
  /** For `status`: asked every few seconds while the stream runs. */
  health(): Promise<StreamHealth>;
}

export interface StreamStatus {
  readonly identity: StreamIdentity;
  readonly confirmed: Position;
  readonly end: Position;
}

export interface ReadChanges {
  readonly signal: AbortSignal;
  readonly until?: Position;
  /**
   * The position of each table's copy (of the oldest, where sinks have several), by its name in the pipeline. What was committed before it sinks leave
   * out, so a source need not read it, nor follow what became of the table until then. For a table without one everything after `after` counts.
   */
  readonly copied?: ReadonlyMap<string, Position>;
}

/** Tables as they were at one position: for first copies. Kept open by a connection; disposing it lets go of it. */
export interface TableSnapshot extends AsyncDisposable {
  readonly position: Position;
  /** Reads one table; `plan` gives its splits. Several tables and splits at once. */
  table(name: string): Promise<RowSource>;
  /** What came after the snapshot, of its tables only: for a table that is copied while the stream goes on. */
  read(options: ReadChanges): AsyncIterable<ChangeGroup>;
}

/** JSON, for people and alarms. */
export interface StreamHealth {
  readonly slot: string;
  /** `reserved`, `extended`, `unreserved`, `lost`, as `pg_replication_slots` has it. */
  readonly state: string;
  /** Bytes of log the source keeps for us, and the most it will keep (null: no limit). */
  readonly retainedBytes: number;
  readonly budgetBytes: number | null;
  /** Bytes between what all sinks have and what the source has written. */
  readonly lagBytes: number;
  /** Bytes that the log grows in a second, over the last minute. */
  readonly growthPerSecond: number;
  readonly spooledBytes: number;
  readonly warnings: readonly string[];
}

/**
 * Whole source transactions, oldest first. Many small ones come together; one that is too large for memory comes alone and its
 * parts arrive as they are read. Made for one reader.
 */
export interface ChangeGroup {
  /** Oldest first. Empty where nothing of ours was in the stream up to `position`: then only the position moves. */
  readonly transactions: readonly SourceTransaction[];
  /**
   * Each part at most once, in order. Applying them one after the other gives the state after the last transaction. They end with the last
   * one only: a source that breaks off, or is told to stop in between, makes the iteration throw.
   */
  readonly parts: AsyncIterable<ChangePart>;
  /** Rows and bytes in it, where they are known before the parts are read. */
  readonly size: { readonly rows: number; readonly bytes: number } | null;
  /** The end of the last transaction. @throws INTERNAL before `parts` has ended, for a group whose size is null */
  position(): Position;
  /**
   * The group that is applied after this one, where it is complete already and its size is known: while a database is busy with this one,
   * what the next one needs can be made ready. Not before all parts of this one have been read.
   */
  next?(): ChangeGroup | null;
}

export interface SourceTransaction {
  /**
   * Of its commit record: unique, and the same each time the stream is read. A sink or copy at position P has this transaction if,
   * and only if, `commit < P`: the position after a transaction is the end of its commit record, and the next commit is not before it.
   */
  readonly commit: Position;
  /** ISO 8601, microseconds, by the source's clock. */
  readonly committedAt: string;
  readonly xid: string;
  /** Changes of captured tables in it that come before it in this group: the ordinal of a row within its transaction is its `ordinals` minus this. */
  readonly firstOrdinal: number;
}

export type ChangePart = TableChanges | TableTruncate | SchemaChange;

export const changeKinds = { insert: 1, update: 2, delete: 3 } as const;
export type ChangeKind = (typeof changeKinds)[keyof typeof changeKinds];

/**
 * Changes of one table, in stream order, as columns. Parts of different tables between two barriers (truncate, schema) may have
 * been put together out of order: `ordinals` says the order where it matters.
 */
export interface TableChanges {
  readonly kind: 'changes';
  /** Its name in the pipeline. */
  readonly table: string;
  /** A `ChangeKind` for each row. */
  readonly kinds: Uint8Array;
  /** Place among all changes of the group, rising. */
  readonly ordinals: Float64Array;
  /** Which of the group's transactions. */
  readonly transactions: Int32Array;
  /**
   * The row after an insert or update. A value that the update left as it was and that the source did not send
   * (TOAST) is unchanged: see `unchangedVector`, `isUnchanged`. For a delete: the row before, as in `old`.
   */
  readonly rows: ColumnBatch;
  /** What is known of the row before an update or delete, as `before` says, and NULL elsewhere. Null where no row has any. */
  readonly old: ColumnBatch | null;
  /** A `BeforeKind` for each row. */
  readonly before: Uint8Array;
}

/** `none`: an insert, or an update that left the key as it was; never a delete. `key`: key columns only. `row`: all columns. */
export const beforeKinds = { none: 0, key: 1, row: 2 } as const;

export interface TableTruncate {
  readonly kind: 'truncate';
  readonly tables: readonly string[];
  readonly transaction: number;
  readonly ordinal: number;
}

/**
 * The table is another from here on. Parts after it have the new columns. Applying it twice does nothing the second time. Its transaction is
 * the first of its group, so that a stream which cannot go on with the new columns has everything before them.
 */
export interface SchemaChange {
  readonly kind: 'schema';
  readonly table: string;
  readonly schema: RowSchema;
  readonly changes: readonly ColumnChange[];
  /** The changes lead from the declared columns to those of now, since the source has begun to read here: whoever follows may have had them. */
  readonly retold?: boolean;
  readonly transaction: number;
  readonly ordinal: number;
}

export type ColumnChange =
  /**
   * `fill` is the SQL-free text of a constant default that existing rows have got; null for NULL. `computed`: each of them has got a value
   * of its own (a sequence, a random number), which the stream does not bring, so that the table must be copied again to have them.
   */
  | { readonly change: 'add'; readonly column: ColumnSchema; readonly fill: string | null; readonly computed?: boolean }
  | { readonly change: 'drop'; readonly name: string }
  | { readonly change: 'rename'; readonly from: string; readonly to: string }
  | { readonly change: 'retype'; readonly name: string; readonly from: ColumnSchema; readonly to: ColumnSchema };

/** What happens to a pipeline's tables when columns change at the source, for each kind of change. */
export interface SchemaPolicy {
  /** `apply` by default. `ignore` leaves the column out. */
  readonly add: 'apply' | 'ignore' | 'pause';
  /** `pause` by default: the target would lose data. `ignore` keeps the column, NULL from here on. */
  readonly drop: 'apply' | 'ignore' | 'pause';
  /** `apply` by default. */
  readonly rename: 'apply' | 'pause';
  /** `widen` by default: applies what keeps every value, and pauses else. `resync` copies the table again. */
  readonly retype: 'apply' | 'widen' | 'pause' | 'resync';
}

/** A place that follows changes: tables of a database, a change log of files. A frozen value of the pipeline file. */
export interface ChangeTarget<in Tables = never> {
  readonly kind: 'change-target';
  readonly accept?: (tables: Tables) => void;
  readonly description: ChangeTargetDescription;
  readonly connection?: Connection;
  /** Formats in which it takes first copies, cheapest first; `batches` always. */
  readonly accepts: readonly WireFormat[];
  /** Problems that can be seen without connecting. `tables` are the columns that arrive, by table. */
  problems(tables: StreamTables): readonly TargetProblem[];
  ddl(tables: StreamTables): readonly string[];
  open(context: Context): Promise<ChangeSink>;
  /** The rows of one table as they are there now, current versions only, for `verify`. */
  stored?(table: string, input: RowSchema): Selection;
}

export interface ChangeTargetDescription {
  readonly connector: string;
  readonly object: string;
  readonly connection: string;
  readonly mode: 'mirror' | 'soft-delete' | 'history' | 'log';
  readonly guarantee: 'exactly-once' | 'at-least-once';
  /** How that is so, in one phrase for the plan, where it is not by a transaction of the target. */
  readonly promise?: string;
  readonly options?: Readonly<Record<string, unknown>>;
}

/** The columns of each table, by its name in the pipeline, with its key. */
export type StreamTables = Readonly<Record<string, StreamTable>>;

export interface StreamTable extends RowSchema {
  /** As the table is called at the source: `public.orders`. */
  readonly name?: string;
}

export interface ChangeSink extends AsyncDisposable {
  /**
   * Takes the stream over: fences off every earlier attempt, then answers what is durable. Called once, first. Tables the target
   * lacks are created. A table that is not among them is not followed from here on, so that it is not copied any more (`SinkState.copied`)
   * when it comes back. @throws ATTEMPT_FENCED
   */
  begin(stream: SinkStream, fence: Fence): Promise<SinkState>;
  /**
   * A first copy of one table, or another one beside what is there. What was copied by an attempt that died is thrown away first.
   * `fresh`: nobody relies on the table yet. `beside`: the stream goes on changing it meanwhile, and readers see it until `finish`.
   * `at` is the snapshot's position, where it is not the one that the sink is at: the copy has what was committed before it.
   */
  copy(table: string, how: 'fresh' | 'beside', at?: Position): Promise<TableCopy>;
  /**
   * Records which stream is followed and from where: before the first copies, and again where everything is copied anew. Following
   * another stream than before forgets which tables are copied. One atomic act.
   */
  follow(identity: StreamIdentity, position: Position): Promise<void>;
  /**
   * All parts of the group and its position, in one atomic act. The caller has taken out what this sink has already: transactions
   * before its position, and changes of a table whose commit is before the position it was copied at. An update of a row that the
   * target lacks inserts it, unless some of its values are unchanged and so unknown. Answers how far this sink is durable: one
   * that buffers answers an older position. One group at a time.
   *
   * @throws ATTEMPT_FENCED, and the error of what could not be applied: then nothing of the group has been
   */
  apply(group: ChangeGroup): Promise<Position>;
  /** Makes everything applied durable. Called when the stream ends or pauses. */
  flush(): Promise<Position>;
}

export interface SinkStream {
  readonly owner: LoadOwner;
  readonly pipelineRun: string;
  readonly tables: StreamTables;
  readonly policy: SchemaPolicy;
}

/** What a sink has stored with its data. JSON. */
export interface SinkState {
  /** Null before `follow`. */
  readonly identity: StreamIdentity | null;
  readonly position: Position | null;
  /** Tables whose copy is complete, and up to where it has all changes. */
  readonly copied: Readonly<Record<string, Position>>;
  /** Rows set aside as poison so far. */
  readonly deadLetters: number;
}

/** Disposing it without `finish` throws the copy away. */
export interface TableCopy extends AsyncDisposable {
  /** One split, in one atomic act with its entry in the ledger of splits. Several splits at once. */
  stage(split: Split, channel: Channel): Promise<StagedPart>;
  /** Changes of this table after the snapshot, onto the copy: `beside` only, after the last `stage`. */
  apply(group: ChangeGroup): Promise<void>;
  /** The copy becomes the table, complete up to `position`. One atomic act. */
  finish(position: Position): Promise<void>;
}
