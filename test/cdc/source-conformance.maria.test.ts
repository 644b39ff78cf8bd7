import { mariadb } from '@millrace/connectors/mysql';
import { changeSourceConformance, changeSourceTables, type Statement } from '@millrace/core/testing';
import { afterAll, beforeAll, test } from 'vitest';
import { type MariaDbServer, mariaDbServer } from '../mariadb-server.ts';
import { sqlOf } from './statement-sql.ts';

let server: MariaDbServer;
beforeAll(async () => {
  server = await mariaDbServer({ binlog: true });
});
afterAll(() => server?.[Symbol.asyncDispose]());

changeSourceConformance(
  (name, body) => test(`mariadb: ${name}`, { timeout: 60_000 }, body),
  async () => {
    await server.sql(
      'drop database if exists public',
      'drop database if exists _millrace',
      'create database public',
      'create table public.orders (id bigint primary key, note text, body longtext, amount decimal(12,2))',
      'create table public.pairs (a int, b varchar(100), n int, primary key (a, b))',
      'create table public.events (id int primary key, what text, body longtext)',
    );
    const connection = mariadb({ url: `${server.url}/public` });
    const session = await server.connect('public');
    await session.query(`set sql_mode = concat(@@sql_mode, ',NO_BACKSLASH_ESCAPES')`); // strings as Postgres reads them
    return {
      source: (tables) => connection.capture(tables, { wholeRows: ['events'] }),
      sendsUnchanged: true,
      work: { truncates: false },
      dropsIdleUpdates: true,
      async commit(statements: readonly Statement[]) {
        await session.query('begin');
        for (const statement of statements) for (const text of sqlOf(statement, changeSourceTables)) await session.query(text);
        await session.query('commit');
      },
      [Symbol.asyncDispose]: async () => session.destroy(),
    };
  },
  { giantRows: 2_000 },
);
