import type { Table } from '@millrace/core';
import type { Statement } from '@millrace/core/testing';

type Tables = Readonly<Record<string, Table>>;

/** A statement of a conformance suite as SQL that Postgres and MariaDB take alike. */
export function sqlOf(statement: Statement, tables: Tables): string[] {
  switch (statement.do) {
    case 'insert': {
      const names = Object.keys(statement.row);
      return [
        `insert into ${statement.table} (${names.join(', ')}) values (${names.map((name) => literal(statement.row[name])).join(', ')})`,
      ];
    }
    case 'update':
      return [`update ${statement.table} set ${listed(statement.set, ', ')} where ${keyOf(statement, tables)}`];
    case 'delete':
      return [`delete from ${statement.table} where ${keyOf(statement, tables)}`];
    case 'truncate':
      return statement.tables.map((table) => `truncate table ${table}`);
    case 'alter':
      throw new TypeError('the suite changes no columns');
    default:
      return statement satisfies never;
  }
}

function keyOf({ table, key }: Extract<Statement, { do: 'update' | 'delete' }>, tables: Tables): string {
  const names = tables[table]?.key ?? [];
  return listed(Object.fromEntries(names.map((name) => [name, key[name]])), ' and ');
}

const listed = (row: Readonly<Record<string, unknown>>, between: string): string =>
  Object.entries(row)
    .map(([name, value]) => `${name} = ${literal(value)}`)
    .join(between);

const literal = (value: unknown): string =>
  value === null || value === undefined ? 'null' : typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value);
