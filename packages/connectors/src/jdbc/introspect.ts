import { type Context, MillraceError, type Table } from '@millrace/core/runtime';
import { connect, type SessionSettings } from './connect.ts';
import { tableParts } from './identifier.ts';
import type { ProductName } from './product.ts';
import type { FoundTable } from './session.ts';
import { readType } from './types.ts';

/** Schemas of the systems themselves, where a driver lists them among the others. */
const systems =
  /^(information_schema|pg_.*|sys|system|system_lobs|sysibm.*|syscat|sysstat|systools|mysql|performance_schema|db_.*|xdb|mdsys|ctxsys|wmsys|outln|dbsnmp|appqossys|gsmadmin_internal|lbacsys|ojvmsys|olapsys|ordsys|orddata|dvsys|audsys)$/i;

/**
 * The tables and views of a database, as declarations. Without `schemas` and `tables`: everything outside the system's own schemas.
 *
 * @throws TABLE_MISSING for a table that was asked for by name
 */
export async function introspect(
  settings: SessionSettings,
  context: Context,
  { schemas, tables }: { readonly schemas?: readonly string[]; readonly tables?: readonly string[] },
): Promise<Table[]> {
  const { session, dialect } = await connect(settings, context);
  await using open = session;
  const names = tables
    ? tables.map(tableParts)
    : (await open.tables())
        .filter(
          ({ schema, name }) =>
            (schemas ? schema !== null && schemas.includes(schema) : !systems.test(schema ?? '')) &&
            !name.toLowerCase().startsWith('millrace_'),
        )
        .map(({ schema, name }) => [...(schema ? [schema] : []), name]);
  const found: Table[] = [];
  for (const parts of names) {
    const table = await open.table(parts);
    if (!table) {
      throw new MillraceError('TABLE_MISSING', {
        message: `${open.product.name} has no table or view ${parts.join('.')} that "${open.product.user}" may see.`,
        remedy: 'Check the name, with its schema.',
        facts: { object: parts.join('.') },
      });
    }
    found.push(declaration(table, parts, dialect.product));
  }
  return found;
}

function declaration(table: FoundTable, parts: readonly string[], product: ProductName): Table {
  const columns = table.columns.map((column) => ({
    name: column.name,
    type: readType(product, column).type,
    nullable: column.nullable !== 'no',
  }));
  const isKey =
    table.primaryKey.length > 0 && table.primaryKey.every((name) => columns.some((column) => column.name === name && !column.nullable));
  return Object.freeze({
    kind: 'table',
    name: [...parts.slice(0, -1), table.name].map(shown).join('.'),
    declared: Object.freeze(Object.fromEntries(columns.map(({ name, type, nullable }) => [name, columnOf(type, nullable)]))),
    columns: Object.freeze(columns),
    ...(isKey && { key: Object.freeze([...table.primaryKey]) }),
  });
}

const shown = (part: string): string => (/[".]/.test(part) ? `"${part.replaceAll('"', '""')}"` : part);

const columnOf = (type: Table['columns'][number]['type'], nullable: boolean): Table['declared'][string] =>
  Object.freeze({ type, nullable, orNull: () => columnOf(type, true) });
