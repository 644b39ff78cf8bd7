import type { ColumnStep } from '../binlog/alter-table.ts';
import { unfollowable } from '../binlog/corrupt.ts';
import type { Statement, TableName } from '../binlog/statement.ts';
import type { FollowedTable } from './followed-table.ts';
import type { FollowedTables } from './followed-tables.ts';
import { homeDatabase } from './home.ts';
import { asStatement } from './log-reader.ts';

/** What is to be done about a statement. */
export type StatementWork =
  | { readonly do: 'truncate'; readonly table: FollowedTable }
  | { readonly do: 'alter'; readonly table: FollowedTable; readonly steps: readonly ColumnStep[] };

/** Null for what nobody follows, or not yet. */
type Find = (name: TableName) => FollowedTable | null;

/** Databases of the server itself, and ours: what their statements do is nothing to followers. */
const systemDatabases = new Set(['mysql', 'sys', 'performance_schema', 'information_schema', homeDatabase]);

/**
 * What a statement in the log means for the tables that are followed; null for nothing.
 *
 * @throws RESYNC_REQUIRED for one behind which the log does not tell all about a table
 */
export function statementWork(statement: Statement, tables: FollowedTables, find: Find): StatementWork | null {
  switch (statement.kind) {
    case 'truncate': {
      const table = find(statement.table);
      return table && { do: 'truncate', table };
    }
    case 'alter':
      return alter(statement, find);
    case 'drop':
      for (const name of statement.tables) lose(find(name), 'dropped');
      return null;
    case 'drop-schema':
      for (const name of tables.in(statement.schema)) lose(find(name), 'dropped with its database');
      return null;
    case 'rename':
      for (const { from, to } of statement.renames) rename(from, to, find);
      return null;
    case 'create':
      if (statement.replaces) lose(find(statement.table), 'replaced by CREATE OR REPLACE TABLE');
      return null;
    case 'rows':
      if (!statement.table || !systemDatabases.has(statement.table.schema)) throw asStatement(statement.verb);
      return null;
    case 'unknown':
      for (const name of statement.words.flatMap((word) => tables.called(word))) {
        const table = find(name);
        if (table) throw notKnown(statement.verb, table.table);
      }
      return null;
    default:
      return null;
  }
}

function alter({ table: name, steps, renamed, seized }: Extract<Statement, { kind: 'alter' }>, find: Find): StatementWork | null {
  for (const { table: other, how } of seized) {
    const table = find(other);
    if (table) throw rewritten(table, how);
  }
  if (renamed) rename(name, renamed, find);
  const table = find(name);
  if (!table) return null;
  if (!steps) throw rewritten(table, null);
  for (const step of steps) follow(table, step);
  return steps.length === 0 ? null : { do: 'alter', table, steps };
}

function follow(table: FollowedTable, step: ColumnStep): void {
  switch (step.do) {
    case 'rewrite':
      throw rewritten(table, step.how);
    case 'cascade':
      throw unfollowable(
        `${table.name} has got a foreign key with ${step.how}: rows that change with others are not in the log.`,
        'Let the application do it, and drop the foreign key.',
        { table: table.table },
      );
    case 'engine':
      throw unfollowable(
        `${table.name} is kept by ${step.engine} now, which has no transactions and no snapshots.`,
        `ALTER TABLE ${table.name} ENGINE = InnoDB.`,
        { table: table.table },
      );
    case 'add':
    case 'drop':
    case 'rename':
    case 'retype':
      return;
    default:
      step satisfies never;
  }
}

function rename(from: TableName, to: TableName, find: Find): void {
  lose(find(from), `renamed to ${to.schema}.${to.name}`);
  lose(find(to), `replaced by ${from.schema}.${from.name}`);
}

function lose(table: FollowedTable | null, how: string): void {
  if (!table) return;
  throw unfollowable(
    `${table.name} was ${how}: the changes of the new table, if there is one, do not belong to the copy of the old one.`,
    'Declare the table as it is now, or leave it out.',
    { table: table.table },
  );
}

const notKnown = (verb: string, table: string): Error =>
  unfollowable(
    `The log has a ${verb} which names ${table}, and nobody here knows what that does to its rows.`,
    'Use a version of Millrace that knows this version of the server.',
    { verb, table },
  );

const rewritten = ({ name, table }: FollowedTable, how: string | null): Error =>
  unfollowable(
    `${name} was altered in a way that the log does not tell${how === null ? '' : ` (${how})`}: its rows may be others.`,
    'There is nothing to set.',
    { table },
  );
