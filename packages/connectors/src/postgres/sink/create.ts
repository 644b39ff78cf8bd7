import type { ColumnType, Table } from '@millrace/core/runtime';
import { parseName, quoteIdentifier, quoteName } from '../identifier.ts';
import { literal } from '../literal.ts';
import type { HistoryColumns } from './history.ts';
import { sqlType } from './sql-type.ts';

/** A statement that creates something, and the name to look for before it runs. */
export interface Creation {
  readonly of: 'schema' | 'type' | 'table' | 'index';
  /** Quoted, as `to_regclass` and `to_regtype` read it. */
  readonly name: string;
  readonly text: string;
}

/** Everything that must exist for the first load, in the order in which it is made. A history's rows are told apart by `primary`. */
export function creations(
  table: Table,
  history: HistoryColumns | null,
  primary: readonly string[] | undefined = table.key && [...table.key, ...(history ? [history.validFrom] : [])],
): Creation[] {
  const { schema } = parseName(table.name);
  const made: Creation[] = [];
  if (schema !== null) made.push(schemaOf(schema));
  for (const column of table.columns) made.push(...types(column.type));
  made.push({ of: 'table', name: quoteName(table.name), text: createTable(table, history, primary) });
  if (history && table.key) made.push(currentIndex(table, table.key, history));
  const seen = new Set<string>();
  return made.filter(({ of, name }) => !seen.has(`${of} ${name}`) && seen.add(`${of} ${name}`));
}

const schemaOf = (schema: string): Creation => ({
  of: 'schema',
  name: quoteIdentifier(schema),
  text: `CREATE SCHEMA IF NOT EXISTS ${quoteIdentifier(schema)}`,
});

/** Enums and domains that a column needs, those inside out first. */
function types(type: ColumnType): Creation[] {
  if (type.kind === 'array') return types(type.of);
  if (type.kind !== 'enum' && type.kind !== 'domain') return [];
  const name = quoteName(type.name);
  const { schema } = parseName(type.name);
  const before = schema === null ? [] : [schemaOf(schema)];
  if (type.kind === 'enum') {
    return [
      ...before,
      { of: 'type', name, text: `CREATE TYPE ${name} AS ENUM (${type.labels.map((label) => literal(label)).join(', ')})` },
    ];
  }
  return [...types(type.of), ...before, { of: 'type', name, text: `CREATE DOMAIN ${name} AS ${sqlType(type.of)}` }];
}

function createTable(table: Table, history: HistoryColumns | null, primary: readonly string[] | undefined): string {
  const lines = table.columns.map(({ name, type, nullable }) => `${quoteIdentifier(name)} ${sqlType(type)}${nullable ? '' : ' NOT NULL'}`);
  if (history) {
    lines.push(
      `${quoteIdentifier(history.validFrom)} timestamp with time zone NOT NULL`,
      `${quoteIdentifier(history.validTo)} timestamp with time zone`,
      `${quoteIdentifier(history.isCurrent)} bool NOT NULL`,
    );
  }
  if (primary?.length) lines.push(`PRIMARY KEY (${primary.map((name) => quoteIdentifier(name)).join(', ')})`);
  return `CREATE TABLE ${quoteName(table.name)} (\n  ${lines.join(',\n  ')}\n)`;
}

/** One current version for each key: found fast, and never two. */
function currentIndex(table: Table, key: readonly string[], history: HistoryColumns): Creation {
  const { schema, name } = parseName(table.name);
  const index = `${name.slice(0, 40)}_current`;
  return {
    of: 'index',
    name: quoteName({ schema, name: index }),
    text: `CREATE UNIQUE INDEX ${quoteIdentifier(index)} ON ${quoteName(table.name)} (${key.map((name) => quoteIdentifier(name)).join(', ')}) WHERE ${quoteIdentifier(history.isCurrent)}`,
  };
}
