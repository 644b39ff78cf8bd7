import type { ColumnType, Context, Table } from '@millrace/core/runtime';
import { type Relation, readRelation } from './catalog.ts';
import type { SessionSettings } from './credentials.ts';
import { parseName, type QualifiedName, showName } from './identifier.ts';
import { literal } from './literal.ts';
import { openSession } from './session.ts';

/** Databases of the server's own. */
const own = ['information_schema', 'mysql', 'performance_schema', 'sys'];

/**
 * The tables and views of a database, as declarations: of those in `schemas`, else of the one that the URL names, else of all. A table of
 * the connection's own database is named without it.
 *
 * @throws TABLE_MISSING for a table that was asked for by name
 */
export async function introspect(
  settings: SessionSettings,
  context: Context,
  { schemas, tables }: { readonly schemas?: readonly string[]; readonly tables?: readonly string[] },
): Promise<Table[]> {
  await using session = await openSession(settings, context, { purpose: 'introspect' });
  const { database } = session.place;
  const databases = schemas ?? (database === '' ? null : [database]);
  const names: QualifiedName[] = tables
    ? tables.map(parseName)
    : (
        await session.query(
          `SELECT table_schema AS db, table_name AS name FROM information_schema.tables WHERE table_type IN ('BASE TABLE', 'VIEW')
             AND ${databases === null ? `table_schema NOT IN (${own.map(literal).join(', ')})` : `table_schema IN (${['', ...databases].map(literal).join(', ')})`}
             AND LEFT(table_name, 10) <> '_millrace_' ORDER BY table_schema, table_name`,
        )
      ).map((row) => ({ database: row['db'] ?? null, name: row['name'] ?? '' }));
  const found: Table[] = [];
  for (const name of names) found.push(declaration(await readRelation(session, name), database));
  return found;
}

function declaration(relation: Relation, home: string): Table {
  const columns = relation.columns.map(({ name, type, notNull }) => ({ name, type, nullable: !notNull }));
  const key = relation.primaryKey;
  return Object.freeze({
    kind: 'table',
    name: showName({ database: relation.database === home ? null : relation.database, name: relation.name }),
    declared: Object.freeze(Object.fromEntries(columns.map(({ name, type, nullable }) => [name, columnOf(type, nullable)]))),
    columns: Object.freeze(columns),
    ...(key.length > 0 && { key: Object.freeze([...key]) }),
  });
}

const columnOf = (type: ColumnType, nullable: boolean): Table['declared'][string] =>
  Object.freeze({ type, nullable, orNull: () => columnOf(type, true) });
