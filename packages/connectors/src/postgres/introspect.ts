import type { Context, Table } from '@millrace/core/runtime';
import { type CatalogColumn, type Relation, readRelation } from './catalog.ts';
import { openSession, type SessionSettings } from './client.ts';
import { parseName, showName } from './identifier.ts';

/**
 * The tables and views of a database, as declarations. Without `schemas` and `tables`: everything outside the system's own schemas.
 * Partitions are part of their table.
 *
 * @throws TABLE_MISSING for a table that was asked for by name
 */
export async function introspect(
  settings: SessionSettings,
  context: Context,
  { schemas, tables }: { readonly schemas?: readonly string[]; readonly tables?: readonly string[] },
): Promise<Table[]> {
  await using session = await openSession(settings, context, { purpose: 'introspect' });
  const names = tables
    ? tables.map(parseName)
    : (
        await session.query(
          `select n.nspname as schema, c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
           where c.relkind = any('{r,p,v,m,f}') and not c.relispartition and n.nspname not in ('information_schema', '_millrace')
             and n.nspname !~ '^pg_' and ($1::text[] is null or n.nspname = any($1::text[]))
             and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
           order by n.nspname, c.relname`,
          [schemas ? JSON.stringify(schemas).replace(/^\[/, '{').replace(/\]$/, '}') : null],
        )
      ).map((row) => ({ schema: row['schema'] ?? '', name: row['name'] ?? '' }));
  const found: Table[] = [];
  for (const name of names) found.push(declaration(await readRelation(session, name)));
  return found;
}

function declaration(relation: Relation): Table {
  const columns = relation.columns.map((column) => ({ name: column.name, type: column.type, nullable: isNullable(relation, column) }));
  return Object.freeze({
    kind: 'table',
    name: showName(relation),
    declared: Object.freeze(Object.fromEntries(columns.map(({ name, type, nullable }) => [name, columnOf(type, nullable)]))),
    columns: Object.freeze(columns),
    ...(relation.primaryKey.length > 0 && { key: Object.freeze([...relation.primaryKey]) }),
  });
}

/** A view does not say which of its columns may be NULL; all may, then. */
const isNullable = (_: Relation, column: CatalogColumn): boolean => !column.notNull;

const columnOf = (type: CatalogColumn['type'], nullable: boolean): Table['declared'][string] =>
  Object.freeze({ type, nullable, orNull: () => columnOf(type, true) });
