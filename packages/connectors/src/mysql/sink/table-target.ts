import {
  type Context,
  describeSetting,
  type LoadMode,
  type RowOf,
  type RowSchema,
  type Selection,
  type Sink,
  type Table,
  type Target,
} from '@millrace/core/runtime';
import { problems } from '../../postgres/sink/table-problems.ts';
import type { HistoryOptions } from '../../postgres/sink/table-target.ts';
import { type FileConnection, placeOf } from '../../s3/connection.ts';
import type { SessionSettings } from '../credentials.ts';
import { createTable } from './create.ts';
import type { HistoryColumns } from './history.ts';
import type { TableSettings } from './load-work.ts';
import type { binaryCollation } from './sql-type.ts';
import { openTableSink } from './table-sink.ts';
import { typeProblems } from './type-problems.ts';

export interface MysqlLoadOptions {
  /**
   * `append` adds rows; `merge` inserts and updates by the table's key; `replace` puts the rows in the place of all that were there;
   * `history` keeps every version of a row, with the time from and until which it was the current one.
   */
  readonly mode: LoadMode;
  /**
   * What may be done to the table: `strict` (default) nothing, it must be as declared; `create` makes it where it is missing; `evolve`
   * also adds columns that may be NULL and widens types. Nothing is ever dropped or narrowed.
   */
  readonly schema?: 'create' | 'evolve' | 'strict';
  readonly history?: HistoryOptions;
  /**
   * Where an Aurora reads the rows from by itself: they are written there as files, read by LOAD DATA FROM S3, and deleted. The cluster needs
   * a role that may read there. Any other server is sent its rows, which is also the default.
   */
  readonly staging?: FileConnection;
}

/** Where the table is, as a `mysql()` connection hands it over. */
export interface TableHome {
  readonly settings: SessionSettings;
  readonly connector: keyof typeof binaryCollation;
  readonly label: string;
  readonly connection: NonNullable<Target['connection']>;
  /** The current rows of the table, for `verify`. */
  stored(name: string, input: RowSchema, current: string | null): Selection;
}

/** A table that rows are loaded into. */
export function tableTarget<T extends Table>(home: TableHome, table: T, options: MysqlLoadOptions): Target<RowOf<T>, 'rows', 'table'> {
  const settings: TableSettings = {
    connection: home.settings,
    table,
    mode: options.mode,
    schema: options.schema ?? 'strict',
    history: options.mode === 'history' ? historyColumns(options.history) : null,
    closeMissing: options.history?.deletes === 'close',
    staging: options.staging ? placeOf(options.staging) : null,
  };
  const { history, staging } = settings;
  const unfit = settings.schema === 'strict' ? [] : typeProblems(table);
  return Object.freeze({
    kind: 'target',
    takes: 'rows',
    leaves: 'table',
    description: {
      connector: home.connector,
      object: table.name,
      connection: home.label,
      mode: options.mode,
      guarantee: 'exactly-once',
      options: {
        schema: settings.schema,
        ...(history && { history: { ...history, deletes: options.history?.deletes ?? 'keep' } }),
        ...(staging && { staging: describeSetting(staging.url) }),
      },
    },
    connection: home.connection,
    schema: { columns: table.columns, ...(table.key && { key: table.key }) },
    accepts: ['csv', 'batches'],
    problems: (input) => [...problems(settings, input), ...unfit],
    ddl: () => (settings.schema === 'strict' || unfit.length > 0 ? [] : [createTable(table, history, home.connector)]),
    open: (context: Context): Promise<Sink> => openTableSink(settings, context),
    stored: (input: RowSchema) => home.stored(table.name, input, history?.isCurrent ?? null),
  } satisfies Target<RowOf<T>, 'rows', 'table'>);
}

const historyColumns = (options: HistoryOptions = {}): HistoryColumns => ({
  validFrom: options.validFrom ?? 'valid_from',
  validTo: options.validTo ?? 'valid_to',
  isCurrent: options.isCurrent ?? 'is_current',
});
