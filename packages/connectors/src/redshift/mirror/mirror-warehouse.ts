import type { Context, RowSchema, Table } from '@millrace/core/runtime';
import type { Session } from '../../postgres/client.ts';
import type { Ledger } from '../ledger.ts';
import type { TableName } from '../name.ts';
import type { ColumnDialect } from './schema-statements.ts';
import type { MirrorSettings } from './settings.ts';
import type { MirrorArea, StagedFile } from './staging-area.ts';

/** A table to mirror into, by name. */
export interface MirrorTable {
  readonly name: TableName;
  /** As `tableName` reads it. */
  readonly text: string;
  /** Quoted, with its schema. */
  readonly quoted: string;
}

export interface LandChanges {
  readonly session: Session;
  readonly context: Context;
  readonly settings: MirrorSettings;
  readonly area: MirrorArea;
  readonly table: MirrorTable;
  readonly files: readonly StagedFile[];
  /** Columns in the files, those of `staged` first where there are any. */
  readonly schema: RowSchema;
  /** For the temporary table, unquoted. */
  readonly name: string;
}

export interface LandedChanges {
  readonly rows: number;
  /** What is selected for each column of the rows; columns that the table computes are left out. */
  readonly values: ReadonlyMap<string, string>;
}

/** What differs between Redshift and the Postgres that stands for it on a laptop. All else is one session and one set of statements. */
export interface MirrorWarehouse {
  readonly kind: 'redshift' | 'postgres';
  readonly ledger: Ledger;
  readonly columns: ColumnDialect;
  /** Makes the table where it is missing and may be made. @throws TABLE_MISSING, SCHEMA_DRIFT */
  prepare(session: Session, settings: MirrorSettings, table: Table): Promise<void>;
  /** Columns that can be written, with their types as DDL writes them; null where there is no such table. */
  columnsOf(session: Session, table: MirrorTable): Promise<ReadonlyMap<string, string> | null>;
  /** Brings the files into a temporary table, within the transaction. */
  land(landing: LandChanges): Promise<LandedChanges>;
}
