import type { Context, LoadMode, RowSchema, Setting, Table } from '@millrace/core/runtime';
import { openSession, type Session, type SessionSettings, sessionSettings } from '../postgres/client.ts';
import { attemptName } from '../postgres/sink/fence.ts';
import type { HistoryColumns } from '../postgres/sink/history.ts';
import type { Manifest } from '../s3/manifest.ts';
import type { StoreSettings } from '../s3/open-storage.ts';
import type { Storage } from '../s3/storage.ts';
import type { Ledger } from './ledger.ts';

/** A copy target's options, with their defaults filled in. */
export interface CopySettings {
  readonly connection: SessionSettings;
  readonly copyRole: Setting | null;
  readonly region: string | null;
  /** How the files are reached where COPY does not read them. */
  readonly store: StoreSettings;
  readonly table: Table;
  readonly mode: LoadMode;
  readonly schema: 'create' | 'evolve' | 'strict';
  readonly history: HistoryColumns | null;
  readonly closeMissing: boolean;
}

/** The table to load, as it is in the warehouse. */
export interface WarehouseTable {
  /** Quoted, with its schema. */
  readonly quoted: string;
  /** Columns that can be written, by name, with their SQL types. */
  readonly columns: ReadonlyMap<string, string>;
}

/** The rows of one manifest in a staging table. */
export interface Landed {
  readonly rows: number;
  /** Quoted. */
  readonly table: string;
  /** What is selected for a column of the table. */
  readonly values: ReadonlyMap<string, string>;
  /** Puts the last row of the manifest first, where the order of rows is known. */
  readonly newestFirst: string | null;
}

export interface Landing {
  readonly session: Session;
  readonly context: Context;
  readonly settings: CopySettings;
  readonly table: WarehouseTable;
  readonly manifest: Manifest;
  /** Stands at the dataset. */
  readonly storage: Storage;
  /** For its staging table, unquoted. */
  readonly name: string;
  readonly schema: RowSchema;
}

/** What differs between Redshift and the Postgres that stands for it on a laptop. All else is one session and one set of statements. */
export interface Warehouse {
  readonly kind: 'redshift' | 'postgres';
  readonly ledger: Ledger;
  /** @throws TABLE_MISSING, SCHEMA_DRIFT */
  prepare(session: Session, settings: CopySettings): Promise<WarehouseTable>;
  /** Brings the files of a manifest into a temporary table of the session. @throws MANIFEST_MISMATCH where other rows came than the manifest lists */
  land(landing: Landing): Promise<Landed>;
  comparable(sqlType: string, reference: string): string;
}

/** A session, and what it has turned out to be one with. */
export async function openWarehouse(
  settings: Pick<CopySettings, 'connection'>,
  context: Context,
  purpose: string | { readonly key: string; readonly epoch: number },
): Promise<{ session: Session; redshift: boolean }> {
  const name = typeof purpose === 'string' ? purpose : attemptName(purpose);
  const session = await openSession(settings.connection, context, { purpose: name, settings: 'none' });
  try {
    const [row] = await session.query('SELECT version() AS version');
    const redshift = /redshift/i.test(row?.['version'] ?? '');
    if (redshift) for (const statement of redshiftSession) await session.execute(statement);
    else await session.prepare(sessionSettings);
    return { session, redshift };
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
}

/** Names mean what they say; times are UTC; a lock that never comes is given up. */
const redshiftSession = [
  'SET enable_case_sensitive_identifier TO true',
  `SET TIME ZONE 'UTC'`,
  `SET DATESTYLE TO 'ISO, YMD'`,
  'SET statement_timeout TO 0',
];
