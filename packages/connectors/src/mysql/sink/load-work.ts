import type { Context, Fence, LoadMode, LoadSpec, Table } from '@millrace/core/runtime';
import type { FilePlace } from '../../s3/target.ts';
import type { Relation } from '../catalog.ts';
import type { SessionSettings } from '../credentials.ts';
import { quoteName } from '../identifier.ts';
import type { HistoryColumns } from './history.ts';
import type { Landing } from './landing.ts';
import type { LoadFiles } from './load-files.ts';

/** A table target's options, with their defaults filled in. */
export interface TableSettings {
  readonly connection: SessionSettings;
  readonly table: Table;
  readonly mode: LoadMode;
  readonly schema: 'create' | 'evolve' | 'strict';
  readonly history: HistoryColumns | null;
  readonly closeMissing: boolean;
  /** Where files lie that an Aurora reads by itself; null where rows are sent. */
  readonly staging: FilePlace | null;
}

/** What a load has settled at its begin. */
export interface LoadWork {
  readonly settings: TableSettings;
  readonly context: Context;
  readonly load: LoadSpec;
  readonly fence: Fence;
  /** `replace` for an append that starts over. */
  readonly mode: LoadMode;
  readonly table: Relation;
  readonly landing: Landing;
  readonly files: LoadFiles | null;
}

export const quotedTarget = ({ table }: Pick<LoadWork, 'table'>): string => quoteName({ database: table.database, name: table.name });
/** What error messages call the table. */
export const shownName = ({ table }: Pick<LoadWork, 'table'>): string => `${table.database}.${table.name}`;
