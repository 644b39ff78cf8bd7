import { mkdtempSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { example } from '../../packages/cli/test/example.ts';
import { toSale } from './changes-to-lake.ts';

const lake = mkdtempSync(join(tmpdir(), 'millrace-lake-'));
const { databases, must } = example(import.meta.url, ['SHOP_URL'], () => ({ LAKE_URL: `file:${lake}` }));
const shop = (text: string) => databases['SHOP_URL']?.sql(text);

test('a sum of money becomes cents', () => {
  const order = { id: 1n, customer_id: 2n, status: 'paid', total: '12.50', note: null, updated_at: '2026-03-29T23:59:59.999999Z' };
  expect(toSale(order)).toMatchObject({ cents: 1250n });
  expect(toSale({ ...order, total: '-0.07' })).toMatchObject({ cents: -7n });
});

/** The last row of each key, unless it is a delete. */
const currentState = `
  select cast(count(*) as varchar) as orders, cast(sum(cents) as varchar) as cents from (
    select * from read_parquet('${lake}/sales/orders/*.parquet', union_by_name = true)
    qualify row_number() over (partition by id order by _position desc, _ordinal desc) = 1
  ) where _op <> 'delete'`;

test('the log holds every change of the paid orders, and their state at its end', async () => {
  await must('run', 'seed', '--param', 'orders=2000');
  await must('run', 'changes-to-lake', '--until', 'caught-up');
  await shop('call public.trade(500)');
  await shop(`update public.orders set status = 'refunded' where status = 'paid' and id % 7 = 0`);
  await must('run', 'changes-to-lake', '--until', 'caught-up');

  const { DuckDBInstance } = createRequire(new URL('../../packages/connectors/package.json', import.meta.url))('@duckdb/node-api');
  const duckdb = await (await DuckDBInstance.create()).connect();
  const [found] = await (await duckdb.runAndReadAll(currentState)).getRowObjects();
  const [expected] =
    (await shop(`select count(*)::text as orders, sum(total * 100)::bigint::text as cents from public.orders where status = 'paid'`)) ?? [];
  expect(found).toEqual(expected);
});
