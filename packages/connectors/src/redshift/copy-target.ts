import type { Context, LoadMode, RowOf, RowSchema, Selection, Sink, Table, Target, TargetProblem } from '@millrace/core/runtime';
import { problems } from '../postgres/sink/table-problems.ts';
import type { HistoryOptions } from '../postgres/sink/table-target.ts';
import { isDecimal } from './column-type.ts';
import { openCopySink } from './copy-load.ts';
import { createStatements } from './create.ts';
import { tableName } from './name.ts';
import type { CopySettings } from './warehouse.ts';

export interface CopyOptions {
  /**
   * `append` adds the rows of new files; `merge` inserts and updates by the table's key; `replace` makes the table what the dataset is now;
   * `history` keeps every version of a row, with the time from and until which it was the current one.
   */
  readonly mode: LoadMode;
  /** What may be done to the table: `strict` (default) nothing, `create` make it where it is missing, `evolve` add columns that may be NULL as well. */
  readonly schema?: 'create' | 'evolve' | 'strict';
  readonly history?: HistoryOptions;
}

export type CopyHome = Pick<CopySettings, 'connection' | 'copyRole' | 'region' | 'store'> & {
  readonly label: string;
  readonly self: Target['connection'];
  stored?(table: Table, input: RowSchema, current: string | null): Selection;
};

/** A table that files are copied into. */
export function copyTarget<T extends Table>(home: CopyHome, table: T, options: CopyOptions): Target<RowOf<T>, 'files', 'table'> {
  const history =
    options.mode === 'history'
      ? {
          validFrom: options.history?.validFrom ?? 'valid_from',
          validTo: options.history?.validTo ?? 'valid_to',
          isCurrent: options.history?.isCurrent ?? 'is_current',
        }
      : null;
  const settings: CopySettings = {
    connection: home.connection,
    copyRole: home.copyRole,
    region: home.region,
    store: home.store,
    table,
    mode: options.mode,
    schema: options.schema ?? 'strict',
    history,
    closeMissing: options.history?.deletes === 'close',
  };
  const stored = home.stored?.bind(home);
  return Object.freeze({
    kind: 'target',
    takes: 'files',
    leaves: 'table',
    description: {
      connector: 'redshift',
      object: table.name,
      connection: home.label,
      mode: options.mode,
      guarantee: 'exactly-once',
      options: { schema: settings.schema, ...(history && { history: { ...history, deletes: options.history?.deletes ?? 'keep' } }) },
    },
    ...(home.self && { connection: home.self }),
    schema: { columns: table.columns, ...(table.key && { key: table.key }) },
    accepts: [],
    problems: (input) => [...problems(settings, input), ...redshiftProblems(table)],
    ddl: () => (settings.schema === 'strict' ? [] : createStatements(table, history)),
    open: (context: Context): Promise<Sink> => openCopySink(settings, context),
    ...(stored && { stored: (input: RowSchema) => stored(table, input, history?.isCurrent ?? null) }),
  } satisfies Target<RowOf<T>, 'files', 'table'>);
}

/** What no Redshift could hold as it is declared; a laptop's Postgres could, and must not hide it. */
function redshiftProblems(table: Table): TargetProblem[] {
  const found: TargetProblem[] = [];
  for (const column of table.columns) {
    if (column.type.kind === 'numeric' && !isDecimal(column.type)) {
      found.push({
        message: `"${column.name}" of ${table.name} is a numeric that Redshift does not have.`,
        remedy: 'Declare it numeric(p, s) with at most 38 digits, or text().',
      });
    }
  }
  const { distKey, sortKey = [] } = table.redshift ?? {};
  for (const name of [...(distKey === undefined ? [] : [distKey]), ...sortKey]) {
    if (!table.columns.some((column) => column.name === name)) {
      found.push({
        message: `"${name}" is to place the rows of ${table.name} and is no column of it.`,
        remedy: 'Correct distKey or sortKey.',
      });
    }
  }
  tableName(table.name);
  return found;
}
