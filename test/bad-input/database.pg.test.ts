import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { postgres } from '@millrace/connectors/postgres';
import { s3 } from '@millrace/connectors/s3';
import {
  bytea,
  extract,
  int4,
  int8,
  load,
  numeric,
  type Pipeline,
  pipeline,
  type Step,
  secret,
  type Table,
  table,
  text,
} from '@millrace/core';
import type { Target } from '@millrace/core/runtime';
import { call, map, sql } from '@millrace/transforms';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePort } from '../free-port.ts';
import { type TestDatabase, testDatabase } from '../postgres.ts';
import { type BadInput, expectRefusal, hush } from './refusal.ts';

let db: TestDatabase;
let lake: string;
let shut = 0;
beforeAll(async () => {
  db = await testDatabase();
  lake = mkdtempSync(path.join(tmpdir(), 'millrace-lake-'));
  shut = await freePort();
  for (const statement of [
    'create table orders (id int4 primary key, total numeric(12,2) not null, note text)',
    `insert into orders select n, n, 'note ' || n from generate_series(1, 100) n`,
    'create table copy (id int4 primary key, total numeric(12,2) not null, note text)',
    'create table tiny (id int4 primary key, total numeric(12,2) not null, note text check (length(note) < 5))',
    'create table guarded (id int4 primary key, total numeric(12,2) not null, note text)',
    `create role ${visitor} login password '${decodeURIComponent(hush)}'`,
    `grant select on orders to ${visitor}`,
    'create table numbers (id int8)',
    'create view dying as select n::int8 as id from generate_series(1, 100000) n where case when n = 50000 then pg_terminate_backend(pg_backend_pid()) else true end',
  ])
    await db.sql(statement);
});
afterAll(async () => {
  await db?.sql(`drop owned by ${visitor}`).catch(() => {});
  await db?.sql(`drop role if exists ${visitor}`).catch(() => {});
  await db?.[Symbol.asyncDispose]();
  rmSync(lake, { recursive: true, force: true });
});

const visitor = `visitor_${process.pid}`;
const columns = { id: int4(), total: numeric(12, 2), note: text().orNull() };
/** A view whose reader is ended at row 50,000, when every row before has been sent whole. */
const dying = table('dying', { id: int8() });
const orders = table('orders', columns, { key: ['id'] });

/** The database under another address. */
const addressed = (change: (url: URL) => void): string => {
  const url = new URL(db.url);
  change(url);
  return url.href;
};
const asVisitor = () => addressed((url) => Object.assign(url, { username: visitor, password: hush }));

const copying = (from: Table, to: Table, options: { url?: string; target?: string } = {}): Pipeline => {
  const rows = extract(postgres({ url: options.url ?? db.url }), from) as Step<never, 'rows'>;
  const target = postgres({ url: options.target ?? options.url ?? db.url }).table(to, { mode: 'append' }) as unknown as Target<
    never,
    'rows',
    'table'
  >;
  return pipeline({ name: 'bad', steps: { rows, copied: load(rows, target) } });
};

const cases: readonly BadInput[] = [
  {
    name: 'an unreachable host',
    code: 'CONNECTION_FAILED',
    says: /127\.0\.0\.1/,
    act: (run) =>
      run(copying(orders, table('copy', columns), { url: addressed((url) => Object.assign(url, { port: String(shut), password: hush })) })),
  },
  {
    name: 'a host that nobody knows',
    code: 'CONNECTION_FAILED',
    says: /nowhere\.invalid/,
    act: (run) =>
      run(
        copying(orders, table('copy', columns), {
          url: addressed((url) => Object.assign(url, { hostname: 'nowhere.invalid', password: hush })),
        }),
      ),
  },
  {
    name: 'a wrong password',
    code: 'AUTHENTICATION_FAILED',
    says: /postgres/,
    act: (run) => run(copying(orders, table('copy', columns), { url: addressed((url) => Object.assign(url, { password: hush })) })),
  },
  {
    name: 'a wrong password in a secret',
    code: 'AUTHENTICATION_FAILED',
    says: /postgres/,
    act: (run) => {
      const shop = postgres({ url: secret('SHOP_URL') });
      const rows = extract(shop, orders);
      return run(pipeline({ name: 'bad', steps: { rows, copied: load(rows, shop.table(table('copy', columns), { mode: 'append' })) } }), {
        secrets: { SHOP_URL: addressed((url) => Object.assign(url, { password: hush })) },
      });
    },
  },
  {
    name: 'a database that is not there',
    code: 'DATABASE_MISSING',
    says: /nowhere/,
    act: (run) => run(copying(orders, table('copy', columns), { url: addressed((url) => Object.assign(url, { pathname: '/nowhere' })) })),
  },
  {
    name: 'a table that is not there',
    code: 'TABLE_MISSING',
    says: /nowhere/,
    act: (run) => run(copying(table('nowhere', columns), table('copy', columns))),
  },
  {
    name: 'a target that is not there',
    code: 'TABLE_MISSING',
    says: /nowhere/,
    act: (run) => run(copying(orders, table('nowhere', columns))),
  },
  {
    name: 'a schema that is not there',
    code: 'TABLE_MISSING',
    says: /nowhere\.orders/,
    act: (run) => run(copying(table('nowhere.orders', columns), table('copy', columns))),
  },
  {
    name: 'a procedure that is not there',
    code: 'TABLE_MISSING',
    says: /refresh/,
    act: (run) => run(pipeline({ name: 'bad', steps: { called: call(postgres({ url: db.url }), 'refresh') } })),
  },
  {
    name: 'a column that the table does not have',
    code: 'SCHEMA_DRIFT',
    says: /"colour"/,
    act: (run) =>
      run(copying(table('orders', { ...columns, colour: text().orNull() }), table('copy', { ...columns, colour: text().orNull() }))),
  },
  {
    name: 'a declaration of another type than the table has',
    code: 'SCHEMA_DRIFT',
    says: /"note"/,
    act: (run) =>
      run(copying(table('orders', { ...columns, note: bytea().orNull() }), table('copy', { ...columns, note: bytea().orNull() }))),
  },
  {
    name: 'a source without the privilege to read',
    code: 'ACCESS_DENIED',
    says: /guarded/,
    act: (run) => run(copying(table('guarded', columns), table('copy', columns), { url: asVisitor(), target: db.url })),
  },
  {
    name: 'a target without the privilege to write',
    code: 'ACCESS_DENIED',
    says: /copy|_millrace/,
    act: (run) => run(copying(orders, table('copy', columns), { target: asVisitor() })),
  },
  {
    name: 'a value that does not fit',
    code: 'TYPE_MISMATCH',
    says: /"total".*abc/s,
    act: (run) => {
      const shop = postgres({ url: db.url });
      const rows = extract(shop, orders);
      const bad = map(rows, { to: table('copy', columns), row: (row) => ({ ...row, total: row.id === 7 ? 'abc' : row.total }) });
      return run(
        pipeline({ name: 'bad', steps: { rows, bad, copied: load(bad, shop.table(table('copy', columns), { mode: 'append' })) } }),
      );
    },
  },
  {
    name: 'a function that throws',
    code: 'FUNCTION_FAILED',
    says: /"bad", row 6 .*no seven/s,
    act: (run) => {
      const shop = postgres({ url: db.url });
      const rows = extract(shop, orders);
      const row = (one: { id: number; total: string; note: string | null }) => {
        if (one.id === 7) throw new Error('no seven');
        return one;
      };
      const bad = map(rows, { to: table('copy', columns), row });
      return run(
        pipeline({ name: 'bad', steps: { rows, bad, copied: load(bad, shop.table(table('copy', columns), { mode: 'append' })) } }),
      );
    },
  },
  {
    name: 'a row that breaks a rule of the target',
    code: 'TYPE_MISMATCH',
    says: /tiny/,
    act: (run) => run(copying(orders, table('tiny', columns))),
  },
  {
    name: 'a statement with a slip of the pen',
    code: 'STATEMENT_FAILED',
    says: /selct/,
    act: (run) => run(pipeline({ name: 'bad', steps: { done: sql(postgres({ url: db.url }), 'selct 1') } })),
  },
  {
    name: 'a hostile name of a table',
    code: 'IDENTIFIER_INVALID',
    says: /DROP TABLE/,
    act: (run) => run(copying(table('orders"; DROP TABLE orders; --', columns), table('copy', columns))),
  },
  {
    name: 'a hostile name of a table, well quoted',
    code: 'TABLE_MISSING',
    says: /DROP TABLE/,
    act: (run) => run(copying(table('"orders""; DROP TABLE orders; --"', columns), table('copy', columns))),
  },
  {
    name: 'NUL in the name of a column',
    code: 'IDENTIFIER_INVALID',
    says: /NUL/,
    act: (run) => run(copying(table('orders', { 'a\0b': text().orNull() }), table('copy', { 'a\0b': text().orNull() }))),
  },
  {
    name: 'NUL in the name of a table',
    code: 'IDENTIFIER_INVALID',
    says: /NUL/,
    act: (run) => run(copying(table('or\0ders', columns), table('copy', columns))),
  },
  {
    name: 'a name of 64 bytes',
    code: 'IDENTIFIER_INVALID',
    says: /64 bytes/,
    act: (run) => run(copying(orders, table('n'.repeat(64), columns))),
  },
  {
    name: 'a name of 64 bytes in 32 letters',
    code: 'IDENTIFIER_INVALID',
    says: /64 bytes/,
    act: (run) =>
      run(copying(table('orders', { ['é'.repeat(32)]: text().orNull() }), table('copy', { ['é'.repeat(32)]: text().orNull() }))),
  },
  {
    name: 'a source that dies at the end of a row, on its way into a table',
    code: 'SNAPSHOT_LOST',
    says: /snapshot.*terminating connection/,
    act: (run) => run(copying(dying, table('numbers', { id: int8() }))),
  },
  ...(['parquet', 'csv', 'jsonl'] as const).map(
    (format): BadInput => ({
      name: `a source that dies at the end of a row, on its way into ${format}`,
      code: 'SNAPSHOT_LOST',
      says: /snapshot.*terminating connection/,
      act: async (run) => {
        const place = s3({ url: `file:${lake}` });
        const written = place[format] as (options: { prefix: string }) => Target<unknown, 'rows', 'files'>;
        const rows = extract(postgres({ url: db.url }), dying);
        try {
          await run(pipeline({ name: 'bad', steps: { rows, copied: load(rows, written({ prefix: 'dying/' })) } }));
        } finally {
          expect(readdirSync(lake, { recursive: true }).filter((file) => /_manifest.|data./.test(String(file)))).toEqual([]);
        }
      },
    }),
  ),
];

test.for(cases.map((one) => [one.name, one] as const))('%s is told by one clear error', async ([, bad]) => {
  await expectRefusal(bad);
  expect(await db.sql('select count(*)::int as n from orders')).toEqual([{ n: 100 }]);
  expect(await db.sql('select count(*)::int as n from copy')).toEqual([{ n: 0 }]);
});
