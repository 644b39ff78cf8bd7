import type { ChangeTarget, Connection, Context, RowSchema, Selection, StreamTables } from '@millrace/core/runtime';
import { createTable } from '../sink/create.ts';
import type { binaryCollation } from '../sink/sql-type.ts';
import type { SourceSettings } from '../source.ts';
import { openApplySink } from './apply-sink.ts';
import { type ApplySettings, type MysqlApplyOptions, targetName } from './settings.ts';
import { problems } from './target-problems.ts';

/** Where the tables are, as a `mysql()` connection hands it over. */
export interface ApplyHome {
  readonly settings: SourceSettings;
  readonly connector: keyof typeof binaryCollation;
  readonly label: string;
  readonly connection: Connection;
  /** The rows of a table, for `verify`. */
  stored(name: string, schema: RowSchema): Selection;
}

/** Tables that follow a stream of changes, each transaction of the source within one of theirs. */
export function applyTarget(home: ApplyHome, options: MysqlApplyOptions): ChangeTarget<unknown> {
  const settings: ApplySettings = {
    connection: home.settings,
    database: options.database ?? null,
    names: Object.fromEntries(
      Object.entries(options.tables ?? {}).flatMap(([table, { name }]) => (name === undefined ? [] : [[table, name]])),
    ),
    create: options.create ?? true,
  };
  const { create, names } = settings;
  return Object.freeze({
    kind: 'change-target',
    description: {
      connector: home.connector,
      object: options.database ?? 'the database of the connection',
      connection: home.label,
      mode: 'mirror',
      guarantee: 'exactly-once',
      options: { create, ...(Object.keys(names).length > 0 && { tables: names }) },
    },
    connection: home.connection,
    accepts: ['csv', 'batches'],
    problems: (tables: StreamTables) => problems(settings, tables),
    ddl: (tables: StreamTables) =>
      create && problems(settings, tables).length === 0
        ? Object.entries(tables).map(([table, schema]) => {
            const { columns, key } = schema;
            return createTable({ name: targetName(settings, table, schema), columns, ...(key && { key }) }, null, home.connector);
          })
        : [],
    open: async (context: Context) => openApplySink(settings, context),
    stored: (table: string, schema: RowSchema) => home.stored(targetName(settings, table, schema), schema),
  } satisfies ChangeTarget<unknown>);
}
