import { postgres } from '@millrace/connectors/postgres';
import { changeSourceConformance, changeSourceTables, type Statement } from '@millrace/core/testing';
import { test } from 'vitest';
import { type TestDatabase, testDatabase } from '../postgres.ts';

changeSourceConformance(
  (name, body) => test(`postgres: ${name}`, { timeout: 60_000 }, body),
  async () => {
    const db = await testDatabase();
    await db.sql(`create table orders (id int8 primary key, note text, body text, amount numeric(12,2));
      create table pairs (a int4, b text, n int4, primary key (a, b));
      create table events (id int4 primary key, what text, body text);
      alter table events replica identity full;
      alter table orders alter body set storage external`);
    const connection = postgres({ url: db.url });
    return {
      source: (tables) => connection.capture(tables, {}),
      commit: (statements) => commit(db, statements),
      [Symbol.asyncDispose]: () => db[Symbol.asyncDispose](),
    };
  },
  { giantRows: 2_000 },
);

async function commit(db: TestDatabase, statements: readonly Statement[]): Promise<void> {
  await db.sql(`begin; ${statements.map(sqlOf).join(';\n')}; commit`);
}

function sqlOf(statement: Statement): string {
  switch (statement.do) {
    case 'insert': {
      const names = Object.keys(statement.row);
      return `insert into ${statement.table} (${names.join(', ')}) values (${names.map((name) => literal(statement.row[name])).join(', ')})`;
    }
    case 'update':
      return `update ${statement.table} set ${listed(statement.set, ', ')} where ${keyOf(statement)}`;
    case 'delete':
      return `delete from ${statement.table} where ${keyOf(statement)}`;
    case 'truncate':
      return `truncate ${statement.tables.join(', ')}`;
    case 'alter':
      throw new TypeError('the suite changes no columns');
    default:
      return statement satisfies never;
  }
}

function keyOf({ table, key }: Extract<Statement, { do: 'update' | 'delete' }>): string {
  const names = changeSourceTables[table as keyof typeof changeSourceTables].key ?? [];
  return listed(Object.fromEntries(names.map((name) => [name, key[name]])), ' and ');
}

const listed = (row: Readonly<Record<string, unknown>>, between: string): string =>
  Object.entries(row)
    .map(([name, value]) => `${name} = ${literal(value)}`)
    .join(between);

const literal = (value: unknown): string =>
  value === null || value === undefined ? 'null' : typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value);
