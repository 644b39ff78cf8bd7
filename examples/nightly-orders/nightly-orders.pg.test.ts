import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RowOf } from '@millrace/core';
import { expect, test } from 'vitest';
import { example } from '../../packages/cli/test/example.ts';
import { toFact } from './nightly-orders.ts';
import type { orders } from './tables/shop.ts';

const lake = mkdtempSync(join(tmpdir(), 'millrace-lake-'));
const { databases, must, run, start } = example(import.meta.url, ['SHOP_URL', 'WAREHOUSE_URL'], () => ({
  LAKE_URL: `file:${lake}`,
  COPY_ROLE: 'not-needed-here',
}));
const shop = (text: string) => databases['SHOP_URL']?.sql(text);
const warehouse = (text: string) => databases['WAREHOUSE_URL']?.sql(text);

const order: RowOf<typeof orders> = {
  id: 1n,
  customer_id: 7n,
  total: '12.50',
  currency: 'EUR',
  note: null,
  updated_at: '2026-03-29T23:59:59.999999Z',
};

test('an order becomes a fact of its day, and a test order none', () => {
  expect(toFact(order)).toEqual({ order_id: 1n, customer_id: 7n, total: '12.50', currency: 'EUR', day: '2026-03-29' });
  expect(toFact({ ...order, currency: '' })).toBeNull();
});

test('orders go through the lake into the warehouse; a run that is killed is gone on with, and nothing is lost or doubled', async () => {
  await must('run', 'seed');
  await must('run', 'nightly-orders');
  expect(await warehouse('select count(*)::int as facts from analytics.order_fact')).toEqual([{ facts: 9897 }]);
  expect(await warehouse('select sum(orders)::int as orders from analytics.daily_sales')).toEqual([{ orders: 9897 }]);

  // The pipeline leaves the last five minutes alone, so what happens here happened five minutes ago.
  await shop(`update public.orders set total = total * 0.9, updated_at = now() - interval '5 minutes' where id % 3 = 0 and currency <> '';
    insert into public.orders select id, customer_id, total, currency, note, now() - interval '5 minutes' from public.make_orders(10001, 12000, now())`);
  const killed = start('run', 'nightly-orders', '--json');
  await killed.said('"phase":"moving"');
  process.kill(-(killed.process.pid as number), 'SIGKILL');
  expect((await killed.ended).signal).toBe('SIGKILL');

  const resumed = await run('run', 'nightly-orders');
  expect(resumed).toMatchObject({ code: 0, stderr: expect.stringContaining('Going on with run') });
  const verified = await run('verify', 'nightly-orders', '--json');
  expect(verified).toMatchObject({ code: 0 });
  expect(verified.json()[0]).toMatchObject({
    equal: true,
    targets: [
      { steps: ['files'], rows: { expected: 11_877 } },
      { steps: ['copied'], rows: { expected: 11_877, stored: 11_877 } },
    ],
  });

  await warehouse('update analytics.order_fact set total = 0 where order_id = 42');
  const different = await run('verify', 'nightly-orders', '--target', 'copied');
  expect(different).toMatchObject({ code: 1 });
  expect(different.stdout).toMatch(/^42 +total +\S+ +0\.00$/m);
});
