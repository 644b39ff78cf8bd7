import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { postgres } from '@millrace/connectors/postgres';
import { extract, int4, int8, load, numeric, type Pipeline, pipeline, type Step, table, text, timestamptz } from '@millrace/core';
import { compile } from '@millrace/core/runtime';
import { map, rename } from '@millrace/transforms';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import { runStages, testContext } from '../../test/run-stages.ts';
import { targetChecks } from './load-check.ts';
import { SideCache, type TargetResult, verifyTarget } from './verify-target.ts';

let shop: TestDatabase;
let warehouse: TestDatabase;
beforeEach(async () => {
  [shop, warehouse] = await Promise.all([testDatabase(), testDatabase()]);
});
afterEach(async () => {
  await Promise.all([shop[Symbol.asyncDispose](), warehouse[Symbol.asyncDispose]()]);
});

const context = testContext();
const source = () => postgres({ url: shop.url });
const target = () => postgres({ url: warehouse.url });
const made = (steps: Record<string, Step>): Pipeline => pipeline({ name: 'verified', steps });

async function verified(of: Pipeline, show = 10): Promise<TargetResult[]> {
  using sides = new SideCache(mkdtempSync(join(tmpdir(), 'millrace-verify-')));
  const results: TargetResult[] = [];
  for (const check of targetChecks(of, compile(of), [])) results.push(await verifyTarget(of, check, sides, context, show));
  return results;
}

const orders = table(
  'public.orders',
  { id: int8(), total: numeric(12, 2), note: text().orNull(), updated_at: timestamptz() },
  { key: ['id'] },
);
const ordersSql = `create table public.orders (id bigint primary key, total numeric(12,2) not null, note text, updated_at timestamptz not null);
  insert into public.orders select n, n * 1.5, case n % 3 when 0 then null when 1 then '' else E'naïve "日本"\\n' || n end, '2026-03-01'::timestamptz + n * interval '1.000001 second'
  from generate_series(1, 3000) n`;

test('a table that was copied is equal, and its databases said so without sending a row', async () => {
  await shop.sql(ordersSql);
  const rows = extract(source(), orders);
  const copy = made({ rows, copied: load(rows, target().table(orders, { mode: 'replace', schema: 'create' })) });
  expect((await verified(copy))[0]).toMatchObject({ equal: false, reason: 'nothing has been loaded yet' });
  await runStages(copy, context);
  let read = 0;
  const count = ({ rows = 0 }: { rows?: number }) => {
    read += rows;
  };
  using sides = new SideCache(mkdtempSync(join(tmpdir(), 'millrace-verify-')));
  const [check] = targetChecks(copy, compile(copy), []);
  if (!check) throw new Error('there is a load');
  const result = await verifyTarget(copy, check, sides, { ...context, progress: count }, 10);
  expect(result).toMatchObject({ equal: true, rows: { expected: 3000, stored: 3000 }, comparison: { equal: 3000 } });
  expect(result.comparison?.checksums.expected).toBe(result.comparison?.checksums.stored);
  expect(read).toBe(0);
});

test('the rows that differ are found among thousands, with both sides of what differs', async () => {
  await shop.sql(ordersSql);
  const rows = extract(source(), orders);
  const copy = made({ rows, copied: load(rows, target().table(orders, { mode: 'replace', schema: 'create' })) });
  await runStages(copy, context);
  await warehouse.sql(
    "update public.orders set total = 0.01, note = null where id = 1999; delete from public.orders where id = 77; insert into public.orders values (9999, 1, 'x', now())",
  );
  const [result] = await verified(copy);
  expect(result).toMatchObject({
    equal: false,
    rows: { expected: 3000, stored: 3000 },
    comparison: { equal: 2998, changed: 1, onlyExpected: 1, onlyStored: 1 },
  });
  const byKey = Object.fromEntries((result?.differences ?? []).map((one) => [one.key['id'], one]));
  expect(Object.keys(byKey).sort()).toEqual(['1999', '77', '9999']);
  expect(byKey['1999']).toMatchObject({
    kind: 'changed',
    columns: [
      { column: 'total', source: '2998.50', target: '0.01' },
      { column: 'note', source: '', target: null },
    ],
  });
  expect(byKey['77']).toMatchObject({ kind: 'only at source' });
  expect(byKey['9999']).toMatchObject({ kind: 'only at target' });
  expect((await verified(copy, 2))[0]?.differences).toHaveLength(2);
});

const fact = table('public.facts', { order_id: int8(), total: numeric(14, 4), label: text() }, { key: ['order_id'] });

test('what a function makes of the rows is what the target must hold, up to its checkpoint', async () => {
  await shop.sql(ordersSql);
  const rows = extract(source(), orders, { since: 'updated_at' });
  const facts = map(rows, {
    to: fact,
    row: (order) => (order.id % 7n === 0n ? null : { order_id: order.id, total: order.total, label: `${order.note}` }),
  });
  const merged = made({ rows, facts, merged: load(facts, target().table(fact, { mode: 'merge', schema: 'create' })) });
  await runStages(merged, context);
  expect((await verified(merged))[0]).toMatchObject({
    equal: true,
    rows: { expected: 2572, stored: 2572 },
    windows: [{ column: 'updated_at' }],
  });

  // The shop goes on: neither an order that changed since nor a new one makes the warehouse wrong.
  await shop.sql(
    'update public.orders set total = 1, updated_at = now() where id = 5; insert into public.orders values (5000, 1, null, now())',
  );
  expect((await verified(merged))[0]).toMatchObject({ equal: true, rows: { expected: 2571 }, comparison: { setAside: 1 } });

  await runStages(merged, context);
  expect((await verified(merged))[0]).toMatchObject({ equal: true, rows: { expected: 2573, stored: 2573 } });

  await shop.sql('delete from public.orders where id = 8');
  await warehouse.sql("update public.facts set label = 'other' where order_id = 9");
  expect((await verified(merged))[0]).toMatchObject({ equal: false, comparison: { changed: 1, onlyStored: 1, onlyExpected: 0 } });
});

test('an appending load may keep earlier versions, and must have the latest', async () => {
  await shop.sql(ordersSql);
  const log = table('public.log', { id: int8(), total: numeric(12, 2), note: text().orNull(), updated_at: timestamptz() });
  const rows = extract(source(), orders, { since: 'updated_at' });
  const appended = made({ rows, appended: load(rows, target().table(log, { mode: 'append', schema: 'create' })) });
  await runStages(appended, context);
  await shop.sql('update public.orders set total = total + 1, updated_at = now() where id <= 10');
  await runStages(appended, context);
  expect((await verified(appended))[0]).toMatchObject({
    equal: true,
    rows: { expected: 3000, stored: 3010 },
    comparison: { setAside: 10 },
  });
  await warehouse.sql("delete from public.log where id = 3 and updated_at > now() - interval '1 day'");
  expect((await verified(appended))[0]).toMatchObject({ equal: false, comparison: { onlyExpected: 1 } });
});

test('two loads that merge into one table are compared together', async () => {
  await shop.sql(ordersSql);
  await shop.sql(
    'create table public.more (like public.orders including all); insert into public.more select id + 5, 7, note, updated_at from public.orders where id > 2990',
  );
  const more = table(
    'public.more',
    { id: int8(), total: numeric(12, 2), note: text().orNull(), updated_at: timestamptz() },
    { key: ['id'] },
  );
  const [rows, others] = [extract(source(), orders), extract(source(), more)];
  const into = target().table(orders, { mode: 'merge', schema: 'create' });
  const first = load(rows, into);
  const both = made({ rows, others, first, second: load(others, into, { after: [first] }) });
  await runStages(both, context);
  expect(await verified(both)).toMatchObject([
    { steps: ['first', 'second'], equal: true, rows: { expected: 3010, stored: 3005 }, comparison: { setAside: 5 } },
  ]);
  await warehouse.sql('update public.orders set total = 8 where id = 3001');
  expect((await verified(both))[0]).toMatchObject({ equal: false, comparison: { changed: 1 } });
});

test('wider types at the target are no difference', async () => {
  await shop.sql(
    "create table public.small (id int primary key, price numeric(6,2) not null, code varchar(3)); insert into public.small values (1, 1.50, 'a'), (2, -0.01, null)",
  );
  const small = table('public.small', { id: int4(), price: numeric(6, 2), code: text().orNull() }, { key: ['id'] });
  const wide = table('public.wide', { id: int8(), price: numeric(20, 6), code: text().orNull() }, { key: ['id'] });
  const rows = extract(source(), small);
  const widened = made({ rows, widened: load(rows as never, target().table(wide, { mode: 'merge', schema: 'create' })) });
  await runStages(widened, context);
  expect((await verified(widened))[0]).toMatchObject({ equal: true, rows: { expected: 2, stored: 2 } });
});

test('of a history the current versions count', async () => {
  await shop.sql(ordersSql);
  const rows = extract(source(), orders, { since: 'updated_at' });
  const kept = made({ rows, kept: load(rows, target().table(orders, { mode: 'history', schema: 'create' })) });
  await runStages(kept, context);
  await shop.sql("update public.orders set note = 'again', updated_at = now() where id in (1, 2)");
  await runStages(kept, context);
  expect((await verified(kept))[0]).toMatchObject({ equal: true, rows: { expected: 3000, stored: 3000 } });
});

test('names that are SQL themselves are compared like any other', async () => {
  const hostile = `we"ird'; drop table x; --`;
  const column = '"; select 1';
  await shop.sql(
    `create table "${hostile.replaceAll('"', '""')}" ("${column.replaceAll('"', '""')}" int primary key, "$1" text); insert into "${hostile.replaceAll('"', '""')}" values (1, 'a'), (2, null)`,
  );
  const declared = table(`"${hostile.replaceAll('"', '""')}"`, { [column]: int4(), $1: text().orNull() }, { key: [column] });
  const rows = extract(source(), declared);
  const renamed = rename(rows, { $1: '$2' });
  const away = table('away', { [column]: int4(), $2: text().orNull() }, { key: [column] });
  const copy = made({
    rows,
    renamed,
    same: load(rows, target().table(declared, { mode: 'merge', schema: 'create' })),
    away: load(renamed as never, target().table(away, { mode: 'replace', schema: 'create' })),
  });
  await runStages(copy, context);
  expect((await verified(copy)).map(({ equal, rows: { stored } }) => ({ equal, stored }))).toEqual([
    { equal: true, stored: 2 },
    { equal: true, stored: 2 },
  ]);
});
