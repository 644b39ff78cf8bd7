import type { Context, LoadMode, RowOf, RowSchema, Selection, Sink, Table, Target, WireFormat } from '@millrace/core/runtime';
import { isPortable } from '../binary/form.ts';
import type { SessionSettings } from '../client.ts';
import { creations } from './create.ts';
import type { HistoryColumns } from './history.ts';
import type { TableSettings } from './load-work.ts';
import { problems } from './table-problems.ts';
import { openTableSink } from './table-sink.ts';

export interface TableLoadOptions {
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
}

export interface HistoryOptions {
  /** `valid_from` by default: timestamptz, the logical time of the run that brought the version. */
  readonly validFrom?: string;
  /** `valid_to` by default: timestamptz, NULL in the current version. */
  readonly validTo?: string;
  /** `is_current` by default: bool. */
  readonly isCurrent?: string;
  /** What becomes of keys that a load of all rows no longer brings: `keep` (default) leaves them current, `close` ends their version. Windows of `since` close nothing. */
  readonly deletes?: 'keep' | 'close';
}

/** Where the table is, as a `postgres()` connection hands it over. */
export interface TableHome {
  readonly settings: SessionSettings;
  readonly connector: string;
  readonly label: string;
  readonly connection?: Target['connection'];
  /** The current rows of the table, for `verify`. */
  stored?(table: Table, input: RowSchema, where: string | null): Selection;
}

/** A table that rows are loaded into. */
export function tableTarget<T extends Table>(home: TableHome, table: T, options: TableLoadOptions): Target<RowOf<T>, 'rows', 'table'> {
  const settings: TableSettings = {
    connection: home.settings,
    table,
    mode: options.mode,
    schema: options.schema ?? 'strict',
    history: options.mode === 'history' ? historyColumns(options.history) : null,
    closeMissing: options.history?.deletes === 'close',
  };
  const { history } = settings;
  const stored = home.stored?.bind(home);
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
      options: { schema: settings.schema, ...(history && { history: { ...history, deletes: options.history?.deletes ?? 'keep' } }) },
    },
    ...(home.connection && { connection: home.connection }),
    schema: { columns: table.columns, ...(table.key && { key: table.key }) },
    accepts: accepted(table),
    problems: (input) => problems(settings, input),
    ddl: () => (settings.schema === 'strict' ? [] : creations(table, history).map(({ text }) => text)),
    open: (context: Context): Promise<Sink> => openTableSink(settings, context),
    ...(stored && { stored: (input: RowSchema) => stored(table, input, history?.isCurrent ?? null) }),
  } satisfies Target<RowOf<T>, 'rows', 'table'>);
}

const historyColumns = (options: HistoryOptions = {}): HistoryColumns => ({
  validFrom: options.validFrom ?? 'valid_from',
  validTo: options.validTo ?? 'valid_to',
  isCurrent: options.isCurrent ?? 'is_current',
});

/** Bytes pass unread only where they mean the same on both servers. */
function accepted(table: Table): readonly WireFormat[] {
  return table.columns.every(({ type }) => isPortable(type)) ? ['pgcopy-binary', 'csv', 'batches'] : ['csv', 'batches'];
}
