import {
  array,
  bool,
  bytea,
  domain,
  enumeration,
  int4,
  int8,
  interval,
  numeric,
  other,
  range,
  secret,
  table,
  text,
  timestamptz,
  varchar,
} from '@millrace/core';
import { isMillraceError, type MillraceError } from '@millrace/core/runtime';
import { type Kysely, sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePort } from '../../../../test/free-port.ts';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import { testContext } from '../../test/load.ts';
import { readAll } from '../../test/read.ts';
import { aurora, postgres } from './index.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
  await db.sql(`create table orders (id int8 primary key, total numeric(12, 2) not null, note text, updated_at timestamptz not null)`);
  await db.sql(`insert into orders values (1, 1.50, null, '2024-01-01'), (2, 20, 'b', '2024-01-02'), (3, 300, 'c', '2024-01-03')`);
});
afterAll(() => db?.[Symbol.asyncDispose]());

const orders = table(
  'public.orders',
  { id: int8(), total: numeric(12, 2), note: text().orNull(), updated_at: timestamptz() },
  { key: ['id'] },
);
const read = (url = db.url, from = orders) => readAll(postgres({ url }).selection(from));

async function failure(work: Promise<unknown>): Promise<MillraceError> {
  try {
    await work;
  } catch (error) {
    if (isMillraceError(error)) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

const everywhere = (error: MillraceError): string =>
  JSON.stringify([error.message, error.remedy, error.facts, String(error.stack), error.cause === undefined ? '' : String(error.cause)]);

test('what is wrong with a connection is told by its code, without the password', async () => {
  const password = 'S3cr3t!pässword';
  const url = (change: (url: URL) => void): string => {
    const made = new URL(db.url);
    change(made);
    return made.href;
  };
  await db.sql(`create role shy_${db.name} login password 'shy'`);
  const port = await freePort();
  const cases: [string, string, string?][] = [
    [
      'AUTHENTICATION_FAILED',
      url((u) => {
        u.password = password;
      }),
    ],
    [
      'AUTHENTICATION_FAILED',
      url((u) => {
        u.password = '';
      }),
    ],
    [
      'AUTHENTICATION_FAILED',
      url((u) => {
        u.username = 'nobody_here';
        u.password = password;
      }),
    ],
    [
      'DATABASE_MISSING',
      url((u) => {
        u.pathname = '/no_such_database';
      }),
    ],
    [
      'CONNECTION_FAILED',
      url((u) => {
        u.port = String(port);
        u.password = password;
      }),
    ],
    ['CONNECTION_FAILED', `postgres://u:${encodeURIComponent(password)}@no-such-host.invalid/db`],
    [
      'CONNECTION_FAILED',
      url((u) => {
        u.searchParams.set('sslmode', 'require');
        u.password = password;
      }),
    ],
    ['CONFIG_INVALID', `mysql://u:${encodeURIComponent(password)}@host/db`],
    ['CONFIG_INVALID', `postgres://u:${encodeURIComponent(password)}@host:99999/db`],
    ['CONFIG_INVALID', `postgres://u:${encodeURIComponent(password)}@host/db?sslmode=maybe`],
    ['CONFIG_INVALID', `postgres://u:100%@host/db`],
    [
      'ACCESS_DENIED',
      url((u) => {
        u.username = `shy_${db.name}`;
        u.password = 'shy';
      }),
      'orders',
    ],
  ];
  for (const [code, at, names] of cases) {
    const error = await failure(read(at));
    expect([at, error.code]).toEqual([at, code]);
    expect(everywhere(error)).not.toContain(password);
    expect(everywhere(error)).not.toContain(encodeURIComponent(password));
    expect(error.remedy.length).toBeGreaterThan(10);
    if (names) expect(error.message).toContain(names);
  }
  await db.sql(`drop role shy_${db.name}`);
});

test('a secret is looked up when the connection opens, and plans carry its name only', async () => {
  const shop = postgres({ url: secret('SHOP_URL') });
  expect([shop.label, shop.selection(orders).description]).toEqual([
    'secret(SHOP_URL)',
    { connector: 'postgres', object: 'public.orders', connection: 'secret(SHOP_URL)' },
  ]);
  expect(aurora({ url: 'postgres://me:pw@db.example/shop' }).label).not.toContain('pw');
  const context = testContext(undefined, { secret: async ({ name }) => (name === 'SHOP_URL' ? db.url : '') });
  expect((await readAll(shop.selection(orders), {}, context)).rows).toHaveLength(3);
});

test('a table that is missing, or is not as declared, is told with every difference', async () => {
  expect(await failure(read(db.url, table('public.nothing', { id: int8() }) as never))).toMatchObject({
    code: 'TABLE_MISSING',
    message: expect.stringContaining('public.nothing'),
  });
  const wrong = table('orders', { id: int4(), total: numeric(12, 2), note: text(), gone: bool(), updated_at: text() });
  const error = await failure(read(db.url, wrong as never));
  expect(error.code).toBe('SCHEMA_DRIFT');
  expect(error.facts['columns']).toEqual(['id', 'note', 'gone']);
  expect(error.message).toMatch(/"id" is bigint and declared as int4[\s\S]*"note" may be NULL[\s\S]*"gone" \(bool\) is not there/);
});

test('a column may be declared wider than it is, and comes as declared', async () => {
  await db.sql(
    `create type size as enum ('s', 'm'); create domain money_amount as numeric(8, 2); create table narrow (a int2 not null, b numeric(8, 2) not null, c varchar(3) not null, d size not null, e bool not null, f char(4) not null, g money_amount not null, h int4[] not null)`,
  );
  await db.sql(`insert into narrow values (1, 2.50, 'abc', 'm', true, 'x', 9.1, '{1,null}')`);
  const wide = table('narrow', {
    a: int8(),
    b: numeric(12, 4),
    c: text(),
    d: enumeration('size', ['s', 'm', 'l']),
    e: text(),
    f: text(),
    g: domain('money_amount', numeric(8, 2)),
    h: array(int8()),
  });
  expect((await read(db.url, wide as never)).rows).toEqual([
    { a: 1n, b: '2.5000', c: 'abc', d: 'm', e: 't', f: 'x   ', g: '9.10', h: [1n, null] },
  ]);
});

test('hostile names are names and nothing else', async () => {
  const names = ['"; DROP TABLE orders; --', 'sélect', 'a.b', 'with space', "o'brien", 'ä'.repeat(31), '$1', '%s', 'SELECT'];
  for (const name of names) {
    const quoted = `"${name.replaceAll('"', '""')}"`;
    await db.sql(`create table ${quoted} (${quoted} int8 primary key, other text)`);
    await db.sql(`insert into ${quoted} values (7, 'x')`);
    const declared = table(/[".]/.test(name) ? quoted : name, { [name]: int8() }, { key: [name] });
    expect((await readAll(postgres({ url: db.url }).selection(declared))).rows).toEqual([{ [name]: 7n }]);
    expect(
      (await readAll(postgres({ url: db.url }).selection(declared), { since: { column: name, low: '1', lagMs: 0 } })).rows,
    ).toHaveLength(1);
    await db.sql(`drop table ${quoted}`);
  }
  for (const name of ['x'.repeat(64), 'a\0b', 'a.b.c', '"open', '']) {
    const declared = { ...orders, name };
    expect(await failure((async () => postgres({ url: db.url }).selection(declared))())).toMatchObject({ code: 'IDENTIFIER_INVALID' });
  }
  expect(await db.sql('select count(*) from orders')).toEqual([{ count: '3' }]);
});

interface ShopDB {
  orders: { id: string; total: string; note: string | null };
}

test('a query is built with Kysely; its values are literals that cannot end', async () => {
  const big = table('big_orders', { id: int8(), total: numeric(12, 2), label: text() });
  const nasty = 'it\'s \\ $1 "x"\'; drop table orders; --';
  const query = postgres({ url: db.url }).query(
    (shop: Kysely<ShopDB>) =>
      shop
        .selectFrom('orders')
        .select(['id', 'total', sql<string>`${nasty}::text`.as('label')])
        .where('total', '>', '1.60')
        .where('id', 'in', ['2', '3', '-4'])
        .limit(10),
    { as: big },
  );
  const { rows, plan } = await readAll(query, { absorbed: [{ op: 'filter', where: [{ column: 'total', is: '<', value: '100' }] }] });
  expect(rows).toEqual([{ id: 2n, total: '20.00', label: nasty }]);
  expect(plan.schema.columns.map(({ name }) => name)).toEqual(['id', 'total', 'label']);
  expect(query.description).toMatchObject({ connector: 'postgres', object: 'big_orders' });
  expect(() =>
    postgres({ url: db.url }).query(
      (shop: Kysely<ShopDB>) => shop.deleteFrom('orders').returning(['id', 'total', sql<string>`''`.as('label')]),
      { as: big },
    ),
  ).toThrow(/not a SELECT/);
});

test('a query that does not fit its declaration, or the database, says so', async () => {
  const shop = postgres({ url: db.url });
  const wrong = shop.query((of: Kysely<ShopDB>) => of.selectFrom('orders').select(['id', 'total']), {
    as: table('q', { id: int4(), total: numeric(12, 2) }),
  });
  expect(await failure(readAll(wrong))).toMatchObject({ code: 'SCHEMA_DRIFT' });
  const broken = shop.query((of: Kysely<ShopDB>) => of.selectFrom('orders').select(sql<string>`no_such_column`.as('id')), {
    as: table('q', { id: int4() }),
  });
  expect(await failure(readAll(broken))).toMatchObject({ code: 'STATEMENT_FAILED', message: expect.stringContaining('no_such_column') });
});

test('offers bytes only where they mean the same on every server', async () => {
  const shop = postgres({ url: db.url });
  expect(shop.selection(orders).offers).toEqual(['pgcopy-binary', 'csv', 'batches']);
  for (const column of [
    other('geometry'),
    array(enumeration('size', ['s'])),
    range('floatrange'),
    array(domain('money_amount', numeric(8, 2))),
  ]) {
    expect(shop.selection(table('t', { column })).offers).toEqual(['csv', 'batches']);
  }
  expect(
    shop.selection(
      table('t', { a: range('tstzrange'), b: array(int8()), c: bytea(), d: interval(), e: varchar(3), f: enumeration('size', ['s']) }),
    ).offers[0],
  ).toBe('pgcopy-binary');
});

test('introspect writes what a read of the same table accepts', async () => {
  await db.sql(
    `create schema other; create type other."Mood x" as enum ('a', 'b'); create domain other.positive as int4 check (value > 0)`,
  );
  await db.sql(
    `create table other."Odd.Table" (id int8 generated always as identity, a other."Mood x"[], b other.positive not null, c numeric, d numeric(5, -2), e numeric(3, 5), f bit(3), g varbit(9), h timestamp(3), i timetz, j char, k varchar, l int4range, m money, n text[][], o "char", p inet, q interval day to second(2), r xml, primary key (b, id))`,
  );
  await db.sql(
    `insert into other."Odd.Table" values (default, '{a,null}', 5, 1.5, 1234, 0.00123, '101', '1', '2024-01-01 00:00:00.123', '10:00+02', 'z', 'k', '[1,5)', 5, '{{a},{b}}', 'o', '::1', '1 day', '<x/>')`,
  );
  const shop = postgres({ url: db.url });
  const found = await shop.introspect(testContext(), { schemas: ['other'] });
  expect(found.map(({ name, key }) => [name, key])).toEqual([['other."Odd.Table"', ['b', 'id']]]);
  expect(Object.fromEntries(found[0]?.columns.map(({ name, type, nullable }) => [name, { ...type, nullable }]) ?? [])).toMatchObject({
    id: { kind: 'int8', nullable: false },
    a: { kind: 'array', of: { kind: 'enum', name: 'other."Mood x"', labels: ['a', 'b'] }, nullable: true },
    b: { kind: 'domain', name: 'other.positive', of: { kind: 'int4' } },
    c: { kind: 'numeric' },
    d: { kind: 'numeric', precision: 5, scale: -2 },
    e: { kind: 'numeric', precision: 3, scale: 5 },
    f: { kind: 'bit', length: 3 },
    h: { kind: 'timestamp', precision: 3 },
    i: { kind: 'timetz' },
    j: { kind: 'char', length: 1 },
    k: { kind: 'varchar' },
    l: { kind: 'range', name: 'int4range' },
    m: { kind: 'other', name: 'money' },
    n: { kind: 'array', of: { kind: 'text' } },
    o: { kind: 'other', name: '"char"' },
    q: { kind: 'interval' },
  });
  const { rows } = await readAll(shop.selection(found[0] as never));
  expect(rows).toMatchObject([
    {
      a: ['a', null],
      b: 5,
      c: '1.5',
      d: '1200',
      e: '0.00123',
      f: '101',
      h: '2024-01-01T00:00:00.123000',
      i: '10:00:00.000000+02:00',
      m: '$5.00',
      n: [['a'], ['b']],
      o: 'o',
      p: '::1',
      q: 'P1D',
      r: '<x/>',
    },
  ]);
  expect(await failure(shop.introspect(testContext(), { tables: ['none'] }))).toMatchObject({ code: 'TABLE_MISSING' });
});

test('doctor finds a sound connection sound, and says what is wrong with another', async () => {
  const findings = await postgres({ url: db.url }).examine(testContext());
  expect(findings.map(({ level }) => level)).not.toContain('problem');
  expect(findings.map(({ message }) => message).join('\n')).toMatch(/connected as "postgres"[\s\S]*PostgreSQL \d+/);
  const port = await freePort();
  const [problem] = await postgres({ url: `postgres://u:pw@127.0.0.1:${port}/x` }).examine(testContext());
  expect(problem).toMatchObject({ level: 'problem', remedy: expect.any(String) });
});
