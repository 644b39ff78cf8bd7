import type { Context, Fence, LoadMode, LoadSpec, Table } from '@millrace/core/runtime';
import { openSession, type Session, type SessionSettings } from '../client.ts';
import { quoteName } from '../identifier.ts';
import { attemptName } from './fence.ts';
import type { HistoryColumns } from './history.ts';
import type { Landing } from './landing.ts';
import { stagingTable } from './staged-rows.ts';
import type { RealTable } from './table-columns.ts';

/** A table target's options, with their defaults filled in. */
export interface TableSettings {
  readonly connection: SessionSettings;
  readonly table: Table;
  readonly mode: LoadMode;
  readonly schema: 'create' | 'evolve' | 'strict';
  readonly history: HistoryColumns | null;
  readonly closeMissing: boolean;
}

/** What a load has settled at its begin. */
export interface LoadWork {
  readonly settings: TableSettings;
  readonly context: Context;
  readonly load: LoadSpec;
  readonly fence: Fence;
  /** `replace` for an append that starts over. */
  readonly mode: LoadMode;
  readonly table: RealTable;
  readonly landing: Landing;
  /** Columns that must not be NULL in a staging table either, so that such rows are found while their split is staged. */
  readonly notNull: ReadonlySet<string>;
}

/** A session that the next attempt can find and end. */
export function attemptSession({ settings, context, fence }: Pick<LoadWork, 'settings' | 'context' | 'fence'>): Promise<Session> {
  return openSession(settings.connection, context, { purpose: attemptName(fence), writer: true });
}

/** The statements that make a staging table; checks are carried over where rows may be set aside, since only then do they help before the end. */
export function stagingStatements(work: LoadWork, name: string, persistence: 'TEMP' | 'UNLOGGED'): string[] {
  const loaded = new Set(work.landing.columns.flatMap(({ name: column, value }) => (value === null ? [] : [column])));
  const checks = work.load.reject ? work.table.checks.filter(({ columns }) => columns.every((column) => loaded.has(column))) : [];
  return [
    stagingTable(name, work.landing, { persistence, notNull: work.notNull }),
    ...checks.map(({ definition }) => `ALTER TABLE ${name} ADD ${definition}`),
  ];
}

/** What error messages call the table. */
export const shownName = ({ schema, name }: RealTable): string => `${schema}.${name}`;
export const quotedTarget = ({ table }: LoadWork): string => quoteName(table);
