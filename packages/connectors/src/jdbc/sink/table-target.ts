import type { Connection, Context, RowOf, RowSchema, Selection, Sink, Table, Target } from '@millrace/core/runtime';
import type { TakenOver } from '../native.ts';
import type { SourceSettings } from '../source.ts';
import { problems } from './table-problems.ts';
import { openTableSink } from './table-sink.ts';

export interface TableLoadOptions {
  /** `append` adds rows; `merge` inserts and updates by the table's key; `replace` puts the rows in the place of all that were there. */
  readonly mode: 'append' | 'merge' | 'replace';
  /** What may be done to the table: `strict` (default) nothing, it must be as declared; `create` makes it where it is missing. */
  readonly schema?: 'create' | 'strict';
}

/** A table target's options, with their defaults filled in. */
export interface TableSettings {
  readonly connection: SourceSettings;
  readonly table: Table;
  readonly mode: TableLoadOptions['mode'];
  readonly schema: 'create' | 'strict';
}

/** Where the table is, as a `jdbc()` connection hands it over. */
export interface TableHome {
  readonly settings: SourceSettings;
  readonly label: string;
  readonly connection: Connection;
  /** The connector that takes over, where the URL is one of its own. */
  taken(context: Context): Promise<TakenOver | null> | null;
  /** The rows of the table, for `verify`. */
  stored(input: RowSchema): Selection;
}

/** A table that rows are loaded into. */
export function tableTarget<T extends Table>(
  home: TableHome,
  table: T,
  { mode, schema = 'strict' }: TableLoadOptions,
): Target<RowOf<T>, 'rows', 'table'> {
  const settings: TableSettings = { connection: home.settings, table, mode, schema };
  return Object.freeze({
    kind: 'target',
    takes: 'rows',
    leaves: 'table',
    description: { connector: 'jdbc', object: table.name, connection: home.label, mode, guarantee: 'exactly-once', options: { schema } },
    connection: home.connection,
    schema: { columns: table.columns, ...(table.key && { key: table.key }) },
    accepts: ['batches'],
    problems: (input) => problems(settings, input),
    ddl: () => (schema === 'create' ? [`-- ${table.name} is created where it is missing, with the types of its database`] : []),
    async open(context: Context): Promise<Sink> {
      const over = await home.taken(context);
      return over ? over.connection.table(table, { mode, schema }).open(over.context) : openTableSink(settings, context);
    },
    stored: home.stored,
  } satisfies Target<RowOf<T>, 'rows', 'table'>);
}
