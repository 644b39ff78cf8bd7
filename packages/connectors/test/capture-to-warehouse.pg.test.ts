import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bytea, capture, int8, jsonb, load, numeric, pipeline, table, text, timestamptz } from '@millrace/core';
import { compile, type PlanStage, runStage } from '@millrace/core/runtime';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../test/postgres.ts';
import { postgres } from '../src/postgres/index.ts';
import { redshift } from '../src/redshift/index.ts';
import { s3 } from '../src/s3/index.ts';
import { currentRows } from './current-rows.ts';

let home: string;
let shop: TestDatabase;
let warehouse: TestDatabase;
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'millrace-stream-'));
  shop = await testDatabase();
  warehouse = await testDatabase();
});
afterAll(async () => {
  await shop?.[Symbol.asyncDispose]();
  await warehouse?.[Symbol.asyncDispose]();
  rmSync(home, { recursive: true, force: true });
});

const columns = {
  id: int8(),
  note: text().orNull(),
  total: numeric(12, 2),
  extra: jsonb().orNull(),
  photo: bytea().orNull(),
  at: timestamptz(),
};
const orders = table('public.orders', columns, { key: ['id'] });
const lines = table('public.lines', { order_id: int8(), line: int8(), body: text() }, { key: ['order_id', 'line'] });

function shopMirror() {
  const lake = s3({ url: `file:${home}/lake` });
  const changes = capture(postgres({ url: shop.url }), { tables: { orders, lines } });
  const logged = load(changes, lake.changelog({ prefix: 'changes/', format: 'csv' }));
  const mirrored = load(changes, redshift({ url: warehouse.url }).apply({ schema: 'mirror', staging: lake }));
  return pipeline({ name: 'shop-mirror', steps: { changes, logged, mirrored } });
}

let epochs = 0;
async function catchUp(): Promise<void> {
  const made = shopMirror();
  const spool = mkdtempSync(join(home, 'spool-'));
  const when = '2026-03-29T00:00:00.000Z';
  await runStage(
    {
      run: { id: 'run', pipeline: made.name, logicalTime: when, date: when.slice(0, 10), window: null, params: {} },
      runAt: when,
      fullRefresh: false,
      stage: compile(made).stages[0] as PlanStage,
      epoch: ++epochs,
      redone: 0,
      files: {},
      earlier: { plan: null, parts: [] },
      concurrency: 2,
      memoryBudget: 256 * 1024 * 1024,
      until: 'caught-up',
    },
    made,
    {
      signal: new AbortController().signal,
      now: () => new Date(),
      secret: async ({ name }) => name,
      spool,
      log: { info: () => {}, warn: () => {} },
      progress: () => {},
      storePlan: async () => {},
      storePart: async () => {},
      forgetParts: async () => {},
    },
  );
}

async function same(): Promise<void> {
  for (const [name, key, of] of [['orders', 'id', orders] as const, ['lines', 'order_id, line', lines] as const]) {
    const list = of.columns.map((column) => (column.name === 'extra' ? 'extra::text as extra' : `"${column.name}"::text`)).join(', ');
    const source = await shop.sql(`select ${list} from ${name} order by ${key}`);
    expect(await warehouse.sql(`select ${list} from mirror.${name} order by ${key}`)).toEqual(source);
    const texts = (rows: readonly Readonly<Record<string, unknown>>[]) =>
      rows.map((row) =>
        JSON.stringify(
          [row['id'], row['order_id'], row['line'], row['note'], row['body'], row['total'], row['extra']].map((one) =>
            one == null ? null : String(one),
          ),
        ),
      );
    expect(texts(await currentRows(`file:${home}/lake/changes`, name, of)).sort()).toEqual(texts(source).sort());
  }
}

test('what a shop does goes into a change log and a warehouse, copies first, in one stream', async () => {
  await shop.sql(`
    create table orders (id int8 primary key, note text, total numeric(12,2) not null, extra jsonb, photo bytea, at timestamptz not null default now());
    alter table orders alter note set storage external;
    create table lines (order_id int8, line int8, body text not null, primary key (order_id, line));
    insert into orders select n, repeat('x', 3000) || n, n, '{"a": [1, "\\""]}', '\\xff00', '2026-01-01 00:00:00.123456+02' from generate_series(1, 50) n;
    insert into lines select n, 1, 'first' from generate_series(1, 50) n`);
  await catchUp();
  await same();
  await shop.sql(`
    begin;
    update orders set total = total + 1 where id % 2 = 0;
    update orders set id = id + 1000 where id % 5 = 0;
    update lines set line = 2, body = 'moved' where order_id < 10;
    delete from orders where id in (1, 3);
    insert into orders values (1, null, 0.5, null, null, 'infinity'), (3, repeat('y', 3000), 1, null, null, now());
    update orders set total = 7 where id = 3;
    commit;
    begin; insert into orders values (77, 'never', 1, null, null, now()); rollback`);
  await catchUp();
  await same();
  await shop.sql(`truncate lines; insert into lines values (1, 1, 'after'); update orders set note = 'short' where id = 2`);
  await catchUp();
  await same();
});
