import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  array,
  bit,
  bool,
  bytea,
  capture,
  char,
  date,
  enumeration,
  extract,
  float4,
  float8,
  inet,
  int2,
  int4,
  int8,
  interval,
  json,
  jsonb,
  load,
  numeric,
  pipeline,
  table,
  text,
  time,
  timestamp,
  timestamptz,
  uuid,
  varchar,
} from '@millrace/core';
import { batchesOf, compile, type PlanStage, type RowSchema, rowsOf, runStage, type Selection } from '@millrace/core/runtime';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MariaDbServer, mariaDbServer } from '../../../test/mariadb-server.ts';
import { testDatabase } from '../../../test/postgres.ts';
import { runPipeline } from '../../../test/run-pipeline.ts';
import { mysql } from '../src/mysql/index.ts';
import { postgres } from '../src/postgres/index.ts';
import { s3 } from '../src/s3/index.ts';
import { testContext } from './load.ts';

let home: string;
let server: MariaDbServer;
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'millrace-to-mysql-'));
  server = await mariaDbServer();
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  rmSync(home, { recursive: true, force: true });
});

async function rowsIn(selection: Selection): Promise<Record<string, unknown>[]> {
  await using source = await selection.open(testContext());
  await source.describe();
  const plan = await source.plan({ absorbed: [], since: null, splitBytes: 1e9, earlier: null });
  const [format = 'batches'] = source.offers(plan).filter((offered) => offered !== 'pgcopy-binary');
  const rows: Record<string, unknown>[] = [];
  for (const split of plan.splits) for await (const batch of batchesOf(await source.open(split, format))) rows.push(...rowsOf(batch));
  return rows.sort((a, b) => Number(a['id']) - Number(b['id']));
}

/** Types of Postgres, and values of theirs that MySQL has a place for; extremes among them. */
const matrix = [
  ['bool', bool(), ['true', 'false']],
  ['int2', int2(), ['-32768', '32767']],
  ['int4', int4(), ['-2147483648', '2147483647']],
  ['int8', int8(), ['-9223372036854775808', '9223372036854775807']],
  ['float4', float4(), ['0.1', '3.4028235e38', '1e-37']],
  ['float8', float8(), ['5e-324', '1.7976931348623157e308', '-0.1']],
  ['numeric(65,30)', numeric(65, 30), [`-${'9'.repeat(35)}.${'9'.repeat(30)}`, '0.000000000000000000000000000001']],
  ['text', text(), [`E'tab\\t line\\n back\\\\slash "q" ''s'' \\\\N 🦉'`, `''`, `repeat('é', 70000)`]],
  ['varchar(20)', varchar(20), [`'NULL'`, `' x '`]],
  ['char(5)', char(5), [`'ab'`]],
  ['bytea', bytea(), [`'\\x00ff5c0a'`, `''`]],
  ['date', date(), [`'0001-01-01'`, `'9999-12-31'`]],
  ['time', time(), [`'24:00'`, `'00:00:00.000001'`]],
  ['timestamp', timestamp(), [`'9999-12-31 23:59:59.999999'`, `'1000-01-01'`]],
  ['timestamptz', timestamptz(), [`'1970-01-01 00:00:01+00'`, `'2038-01-19 03:14:07.999999+00'`]],
  ['interval', interval(), [`'-1 year 2 days 03:04:05.000006'`]],
  ['uuid', uuid(), [`'123e4567-e89b-12d3-a456-426614174000'`]],
  ['json', json(), [`'{"b": 1,  "a": ["ü\\n"]}'`, `'null'`]],
  ['jsonb', jsonb(), [`'{"b": 1.50, "a": [null]}'`]],
  ['inet', inet(), [`'10.0.0.1/8'`, `'::1'`]],
  ['bit(12)', bit(12), [`B'000000000101'`]],
  ['int4[]', array(int4()), [`'{1,NULL,3}'`, `'{}'`]],
  ['mood', enumeration('mood', ['sad', `it's`]), [`'it''s'`]],
] as const;
const names = matrix.map((_, at) => `c${at}`);
const typed = table(
  'public.typed',
  { id: int4(), ...Object.fromEntries(matrix.map(([, column], at) => [`c${at}`, (column as ReturnType<typeof text>).orNull()])) },
  { key: ['id'] },
);
const typedRows = Array.from({ length: 1 + Math.max(...matrix.map(([, , list]) => list.length)) }, (_, row) => [
  String(row),
  ...matrix.map(([, , list]) => (list as readonly string[])[row] ?? 'null'),
]);
const typedSql = [
  `create type mood as enum ('sad', 'it''s')`,
  `create table typed (id int4 primary key, ${matrix.map(([type], at) => `c${at} ${type}`).join(', ')})`,
  `insert into typed values ${typedRows.map((row) => `(${row.join(', ')})`).join(', ')}`,
].join('; ');

/** MySQL keeps the value of a JSON text, MariaDB the text. */
const asKept = (row: Record<string, unknown>): Record<string, unknown> =>
  server.flavour === 'mariadb'
    ? row
    : Object.fromEntries(
        Object.entries(row).map(([name, value]) => [name, typeof value === 'string' ? (jsonOfMysql[value] ?? value) : value]),
      );
const jsonOfMysql: Record<string, string> = {
  '{"b": 1,  "a": ["ü\\n"]}': '{"a": ["ü\\n"], "b": 1}',
  '{"a": [null], "b": 1.50}': '{"a": [null], "b": 1.5}',
};

test.each(['straight', 'by way of Parquet files'])('every type of Postgres comes to MySQL and back as it was, %s', async (way) => {
  await using shop = await testDatabase();
  const { url } = await server.database();
  await shop.sql(typedSql);
  const given = (await rowsIn(postgres({ url: shop.url }).selection(typed))).map(asKept);
  const target = mysql({ url }).table(table('typed', typed.declared, { key: ['id'] }), { mode: 'append', schema: 'create' });
  const rows = extract(postgres({ url: shop.url }), typed);
  if (way === 'straight') await runPipeline(pipeline({ name: 'over', steps: { rows, loaded: load(rows, target) } }));
  else {
    const lake = s3({ url: `file:${home}` });
    await runPipeline(pipeline({ name: 'out', steps: { rows, files: load(rows, lake.parquet({ prefix: 'typed/' })) } }));
    const files = extract(lake.dataset('typed/', typed));
    await runPipeline(pipeline({ name: 'in', steps: { files, loaded: load(files, target) } }));
  }
  const back = await rowsIn(target.stored!(typed));
  for (const [at, [type]] of matrix.entries()) {
    const column = names[at]!;
    expect([type, back.map((row) => row[column])]).toEqual([type, given.map((row) => row[column])]);
  }
  expect(back).toEqual(given);
});

const orders = table(
  'public.orders',
  {
    id: int8(),
    code: text(),
    note: text().orNull(),
    total: numeric(12, 2),
    extra: jsonb().orNull(),
    photo: bytea().orNull(),
    at: timestamptz(),
  },
  { key: ['id'] },
);
const lines = table('public.lines', { sku: text(), line: int8(), body: text() }, { key: ['sku', 'line'] });

test('what a shop in Postgres does, a mirror in MySQL does too: copies first, then each transaction once', async () => {
  await using shop = await testDatabase();
  const mirror = await server.database();
  const target = () => mysql({ url: mirror.url }).apply();
  const changes = capture(postgres({ url: shop.url }), { tables: { orders, lines }, schemaChanges: { drop: 'apply' } });
  const made = pipeline({ name: 'shop-mirror', steps: { changes, mirrored: load(changes, target()) } });
  let epoch = 0;
  const catchUp = async (): Promise<void> => {
    const when = '2026-03-29T00:00:00.000Z';
    await runStage(
      {
        run: { id: 'run', pipeline: made.name, logicalTime: when, date: when.slice(0, 10), window: null, params: {} },
        runAt: when,
        fullRefresh: false,
        stage: compile(made).stages[0] as PlanStage,
        epoch: ++epoch,
        redone: 0,
        files: {},
        earlier: { plan: null, parts: [] },
        concurrency: 2,
        memoryBudget: 256 * 1024 * 1024,
        until: 'caught-up',
      },
      made,
      {
        ...testContext(when, { spool: mkdtempSync(join(home, 'spool-')) }),
        storePlan: async () => {},
        storePart: async () => {},
        forgetParts: async () => {},
      },
    );
  };
  const same = async (...columns: RowSchema['columns']): Promise<void> => {
    const wider = { ...orders, columns: [...orders.columns, ...columns] };
    expect(await rowsIn(target().stored!('orders', wider))).toEqual(
      await rowsIn(postgres({ url: shop.url }).selection(wider as unknown as typeof orders)),
    );
    const byKey = (rows: readonly Record<string, unknown>[]) => rows.map((row) => `${row['sku']} ${row['line']} ${row['body']}`).sort();
    expect(byKey(await rowsIn(target().stored!('lines', lines)))).toEqual(
      byKey(await rowsIn(postgres({ url: shop.url }).selection(lines))),
    );
  };
  await shop.sql(`
    create table orders (id int8 primary key, code text not null unique, note text, total numeric(12,2) not null, extra jsonb, photo bytea, at timestamptz not null default now());
    alter table orders alter note set storage external;
    create table lines (sku text, line int8, body text not null, primary key (sku, line));
    insert into orders select n, 'c' || n, repeat('x', 3000) || n, n, '{"a": [1, "\\""]}', '\\xff00', '2026-01-01 00:00:00.123456+02' from generate_series(1, 50) n;
    insert into lines select 'Sku ' || n, 1, 'first' from generate_series(1, 50) n`);
  await catchUp();
  await mirror.sql('create unique index code on orders (code(100))');
  await same();
  await shop.sql(`
    begin;
    update orders set total = total + 1 where id % 2 = 0;
    update orders set id = id + 1000 where id % 5 = 0;
    update lines set line = 2, body = 'moved' where sku < 'Sku 3';
    insert into lines values ('sku 1', 2, 'another key'), ('Sku 1 ', 2, 'and another');
    delete from orders where id in (1, 3);
    insert into orders values (1, 'c3', null, 0.5, null, null, '2026-02-01'), (3, 'c1', repeat('y', 3000), 1, null, null, now());
    update orders set total = 7 where id = 3;
    update orders set code = 'aside' where id = 7; update orders set code = 'c7' where id = 8; update orders set code = 'c8' where id = 7;
    commit;
    begin; insert into orders values (77, 'never', null, 1, null, null, now()); rollback`);
  await catchUp();
  await same();
  await shop.sql(`
    begin; update orders set total = 9 where id = 8; alter table orders add column colour text default 'red'; update orders set colour = 'blue' where id = 7; commit;
    truncate lines; insert into lines values ('a', 1, 'after'); update orders set note = 'short' where id = 2`);
  await catchUp();
  await same({ name: 'colour', type: { kind: 'text' }, nullable: true });
  await shop.sql('alter table orders drop column colour; delete from orders where id > 40');
  await catchUp();
  await same();
});
