import type { ChangeTarget, Connection, Context, RowSchema, Selection, StreamTables } from '@millrace/core/runtime';
import type { SourceSettings } from '../source.ts';
import { openApplySink } from './apply-sink.ts';
import { targetCreations } from './prepare-targets.ts';
import { type ApplyOptions, type ApplySettings, targetName } from './settings.ts';
import { problems } from './target-problems.ts';

/** Where the tables are, as a `postgres()` connection hands it over. */
export interface ApplyHome {
  readonly settings: SourceSettings;
  readonly connector: string;
  readonly label: string;
  readonly connection?: Connection;
  /** The rows of a table, or those for which a condition holds. */
  stored?(name: string, schema: RowSchema, where: string | null): Selection;
}

/** Tables that follow a stream of changes, each transaction of the source within one of theirs. */
export function applyTarget(home: ApplyHome, options: ApplyOptions): ChangeTarget<unknown> {
  const settings: ApplySettings = {
    connection: home.settings,
    schema: options.schema ?? null,
    mode: options.mode ?? 'mirror',
    names: Object.fromEntries(
      Object.entries(options.tables ?? {}).flatMap(([table, { name }]) => (name === undefined ? [] : [[table, name]])),
    ),
    poison: options.poison ?? 'stop',
    create: options.create ?? true,
  };
  const { mode, poison, create, names } = settings;
  const stored = home.stored?.bind(home);
  return Object.freeze({
    kind: 'change-target',
    description: {
      connector: home.connector,
      object: options.schema ?? 'the schemas of the source',
      connection: home.label,
      mode,
      guarantee: 'exactly-once',
      options: { poison, create, ...(Object.keys(names).length > 0 && { tables: names }) },
    },
    ...(home.connection && { connection: home.connection }),
    accepts: ['pgcopy-binary', 'csv', 'batches'],
    problems: (tables: StreamTables) => problems(settings, tables),
    ddl: (tables: StreamTables) =>
      create
        ? Object.entries(tables).flatMap(([table, schema]) =>
            targetCreations(settings, targetName(settings, table, schema), schema).map(({ text }) => text),
          )
        : [],
    open: async (context: Context) => openApplySink(settings, context),
    ...(stored && {
      stored: (table: string, schema: RowSchema) => stored(targetName(settings, table, schema), schema, currentRows[mode]),
    }),
  } satisfies ChangeTarget<unknown>);
}

const currentRows = { mirror: null, 'soft-delete': '"_deleted_at" IS NULL', history: '"is_current"' } as const;
