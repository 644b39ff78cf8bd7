import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { example } from '../../packages/cli/test/example.ts';
import { type MariaDbDatabase, type MariaDbServer, mariaDbServer } from '../../test/mariadb-server.ts';

let server: MariaDbServer;
let shop: MariaDbDatabase;
beforeAll(async () => {
  server = await mariaDbServer();
  shop = await server.database();
});
afterAll(() => server?.[Symbol.asyncDispose]());

const lake = mkdtempSync(join(tmpdir(), 'millrace-lake-'));
const { databases, must, run } = example(import.meta.url, ['WAREHOUSE_URL'], () => ({
  SHOP_URL: shop.url,
  LAKE_URL: `file:${lake}`,
  COPY_ROLE: 'not-needed-here',
}));
const warehouse = (text: string) => databases['WAREHOUSE_URL']?.sql(text);

test('orders go from MySQL through the lake into the warehouse, and later only those that have changed', async () => {
  await must('run', 'seed');
  await must('run', 'mysql-to-redshift');
  expect(
    await warehouse(
      'select count(*)::int as n, count(shipped_at)::int as shipped, sum(total)::text as total, max(id)::text as last from analytics.orders',
    ),
  ).toEqual([
    { n: 5000, shipped: 1667, total: (await shop.sql('select sum(total) as total from orders'))[0]?.['total'], last: '4294967294' },
  ]);
  expect(await warehouse(`select distinct customer, paid from analytics.orders where customer like 'Z%' order by 2`)).toEqual([
    { customer: 'Zürich AG', paid: false },
    { customer: 'Zürich AG', paid: true },
  ]);

  await shop.sql(`update orders set status = 'shipped', shipped_at = '2026-03-29 02:30:00' where id > 4294967284 and status = 'new'`);
  await must('run', 'mysql-to-redshift');
  expect(await warehouse(`select count(*)::int as n from analytics.orders where shipped_at = '2026-03-29 02:30:00'`)).toEqual(
    (await shop.sql(`select count(*) as n from orders where shipped_at = '2026-03-29 02:30:00'`)).map(({ n }) => ({ n: Number(n) })),
  );
  const verified = await run('verify', 'mysql-to-redshift', '--json');
  expect(verified).toMatchObject({ code: 0 });
  expect(verified.json()[0]).toMatchObject({ equal: true });

  const introspected = await must('introspect', 'SHOP_URL', '--table', 'orders');
  expect(introspected.stdout).toContain('  id: int8(),\n  customer: varchar(80),\n  total: numeric(12, 2),\n  paid: int2(),\n');
});
