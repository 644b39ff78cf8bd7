import { postgres } from '@millrace/connectors/postgres';
import { changeSourceConformance, changeSourceTables, type Statement } from '@millrace/core/testing';
import { test } from 'vitest';
import { type TestDatabase, testDatabase } from '../postgres.ts';
import { sqlOf } from './statement-sql.ts';

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
  await db.sql(`begin; ${statements.flatMap((statement) => sqlOf(statement, changeSourceTables)).join(';\n')}; commit`);
}
