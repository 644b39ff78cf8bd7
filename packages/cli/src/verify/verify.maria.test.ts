import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mysql } from '@millrace/connectors/mysql';
import { postgres } from '@millrace/connectors/postgres';
import {
  extract,
  float8,
  int8,
  interval,
  jsonb,
  load,
  numeric,
  type Pipeline,
  pipeline,
  type Step,
  table,
  text,
  timestamptz,
} from '@millrace/core';
import { compile } from '@millrace/core/runtime';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type MariaDbDatabase, type MariaDbServer, mariaDbServer } from '../../../../test/mariadb-server.ts';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import { runStages, testContext } from '../../test/run-stages.ts';
import { targetChecks } from './load-check.ts';
import { SideCache, type TargetResult, verifyTarget } from './verify-target.ts';

let server: MariaDbServer;
let shop: TestDatabase;
let other: MariaDbDatabase;
beforeAll(async () => {
  [server, shop] = await Promise.all([mariaDbServer(), testDatabase()]);
});
beforeEach(async () => {
  other = await server.database();
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await shop?.[Symbol.asyncDispose]();
});

const context = testContext();
const made = (name: string, steps: Record<string, Step>): Pipeline => pipeline({ name, steps });

async function verified(of: Pipeline): Promise<TargetResult | undefined> {
  using sides = new SideCache(mkdtempSync(join(tmpdir(), 'millrace-verify-')));
  const [check] = targetChecks(of, compile(of), []);
  return check && verifyTarget(of, check, sides, context, 10);
}

const columns = {
  code: text(),
  id: int8(),
  total: numeric(12, 2),
  ratio: float8().orNull(),
  took: interval().orNull(),
  extra: jsonb().orNull(),
  at: timestamptz(),
};
const orders = table('orders', columns, { key: ['code', 'id'] });

test.each(['merge', 'history', 'replace'] as const)(
  'what went from Postgres to MySQL by %s is equal, and what was changed there is found',
  async (mode) => {
    await shop.sql(`drop table if exists orders; create table orders (code text, id int8, total numeric(12,2) not null, ratio float8, took interval, extra jsonb, at timestamptz not null, primary key (code, id));
    insert into orders select 'Sku ' || n % 7, n, n * 1.5, n / 3.0, case n % 3 when 0 then null else n * interval '1 hour 1.5 second' end, jsonb_build_object('b', n, 'a', array['ü']), '2026-03-01'::timestamptz + n * interval '1.000001 second'
    from generate_series(1, 500) n`);
    const rows = extract(postgres({ url: shop.url }), orders);
    const target = mysql({ url: other.url }).table(orders, { mode, schema: 'create' });
    const copy = made(`to-mysql-${mode}`, { rows, loaded: load(rows, target) });
    await runStages(copy, context);
    expect(await verified(copy)).toMatchObject({ equal: true, rows: { expected: 500, stored: 500 } });
    await other.sql('update orders set total = 0.01, took = null where id = 199', 'delete from orders where id = 77');
    const result = await verified(copy);
    expect(result).toMatchObject({ equal: false, comparison: { equal: 498, changed: 1, onlyExpected: 1, onlyStored: 0 } });
    const byId = Object.fromEntries((result?.differences ?? []).map((one) => [one.key['id'], one]));
    expect(Object.keys(byId).sort()).toEqual(['199', '77']);
    expect(byId['199']).toMatchObject({
      kind: 'changed',
      columns: expect.arrayContaining([expect.objectContaining({ column: 'total', target: '0.01' })]),
    });
  },
);

test('what went from MySQL to Postgres is equal, and what was changed there is found', async () => {
  await shop.sql('drop table if exists orders');
  await other.sql(
    'create table orders (code varchar(20), id bigint, total decimal(12,2) not null, ratio double, took time(6), extra json, at timestamp(6) not null, primary key (code, id))',
    `insert into orders select concat('Sku ', seq % 7), seq, seq * 1.5, seq / 3, sec_to_time(seq * 100.25), json_object('b', seq), from_unixtime(1700000000 + seq) from seq_1_to_500`,
  );
  const rows = extract(mysql({ url: other.url }), orders);
  const copy = made('to-postgres', {
    rows,
    loaded: load(rows, postgres({ url: shop.url }).table(orders, { mode: 'replace', schema: 'create' })),
  });
  await runStages(copy, context);
  expect(await verified(copy)).toMatchObject({ equal: true, rows: { expected: 500, stored: 500 } });
  await shop.sql(`update orders set extra = '{}' where id = 3`);
  expect(await verified(copy)).toMatchObject({ equal: false, comparison: { equal: 499, changed: 1 } });
});
