import type { RowSchema } from '../schema/index.ts';
import type { Connection } from './connection.ts';
import type { Context } from './context.ts';
import type { RelationalOp } from './relational.ts';
import type { SqlStatement } from './sql.ts';
import type { Channel, WireFormat } from './wire.ts';

/** Rows that can be read: a table, a query, a glob of files. A frozen value of the pipeline file; opening it makes the source. */
export interface Selection<Row = unknown> {
  readonly kind: 'selection';
  readonly row?: Row;
  /** What a plan shows and the fingerprint covers: names and options, never a secret. */
  readonly description: SelectionDescription;
  /** Where it reads, for `doctor` (examine) and `verify` (checksums in SQL). */
  readonly connection?: Connection;
  /** The declared columns as a SELECT that `connection` (a SqlConnection) can run, where the source is a database: for `verify`. */
  readonly query?: SqlStatement;
  readonly schema: RowSchema;
  /** Cheapest first, for the columns as declared. The open source offers the same or fewer. */
  readonly offers: readonly WireFormat[];
  /** Set where bytes of this selection come out of DuckDB: files of any format. */
  readonly via?: 'duckdb';
  /** True where the source's own query can do this after the operations already absorbed. */
  absorbs(op: RelationalOp, before: readonly RelationalOp[]): boolean;
  open(context: Context): Promise<RowSource>;
}

export interface SelectionDescription {
  readonly connector: string;
  /** `public.orders`, `raw/orders/*.csv` */
  readonly object: string;
  readonly connection: string;
  readonly options?: Readonly<Record<string, unknown>>;
}

/** One attempt's hold on a source: connections, an exported snapshot. Disposing it lets go of them. */
export interface RowSource extends AsyncDisposable {
  /** The columns as they are at the source now. @throws SCHEMA_DRIFT where they are not as declared */
  describe(): Promise<RowSchema>;
  /**
   * Fixes what will be read: the window `[low, high)` and its splits. The answer is stored before anything is read, and is
   * handed back as `request.earlier` when a later attempt plans the same stage again: the window must then stay as it was.
   */
  plan(request: ReadRequest): Promise<ReadPlan>;
  /**
   * Instead of `plan`: reads what another process has planned and still holds, as of the same moment. Only where the plan is `shared`.
   * @throws SNAPSHOT_LOST where that process holds it no more
   */
  join?(plan: ReadPlan): Promise<void>;
  offers(plan: ReadPlan): WireFormat[];
  /** May be called for several splits at once. The channel ends early when the context's signal aborts. */
  open(split: Split, format: WireFormat): Promise<Channel>;
}

export interface ReadRequest {
  /** Operations the source has agreed to do (see `Selection.absorbs`), in order. */
  readonly absorbed: readonly RelationalOp[];
  /** Incremental reading: rows whose `column` is at or above `low` (null: from the beginning) and below a bound fixed now. */
  readonly since: { readonly column: string; readonly low: string | null; readonly lagMs: number } | null;
  /** Wanted size of a split in bytes at the source. */
  readonly splitBytes: number;
  readonly earlier: ReadPlan | null;
}

/** A watermark is the source's own text, with all its digits. */
export interface Window {
  readonly column: string;
  readonly low: string | null;
  readonly high: string;
}

/** JSON: it goes into the state store. */
export interface ReadPlan {
  /** Columns after the absorbed operations. */
  readonly schema: RowSchema;
  readonly absorbed: readonly RelationalOp[];
  readonly window: Window | null;
  readonly splits: readonly Split[];
  readonly estimate: { readonly rows: number | null; readonly bytes: number | null };
  /** True where parts that were staged under the earlier plan may be used: the same splits hold the same rows. */
  readonly continuesEarlier: boolean;
  /** How other machines find what was planned while this attempt lives (`RowSource.join`). Left out where they cannot. */
  readonly shared?: Readonly<Record<string, unknown>>;
}

/** A part of the input that can be read alone. `id` is a short stable name, safe in a file name. */
export interface Split {
  readonly id: string;
  readonly estimate: { readonly rows: number | null; readonly bytes: number | null };
  /** How the connector finds it again: `{ ctid: [0, 1200] }`, `{ file: 's3://…' }`. */
  readonly where: Readonly<Record<string, unknown>>;
}
