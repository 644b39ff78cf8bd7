import type { RowOf } from '@millrace/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { example } from '../../packages/cli/test/example.ts';
import { drivers, h2Server, type JdbcDatabase, sqlShell } from '../../test/jdbc.ts';
import { toWarehouse } from './oracle-jdbc.ts';
import type { orders } from './tables/erp.ts';

let server: Awaited<ReturnType<typeof h2Server>>;
let erp: JdbcDatabase;
const url = () => `${erp.url};MODE=Oracle`;
beforeAll(async () => {
  server = await h2Server();
  erp = await server.database('erp');
});
afterAll(async () => {
  await erp[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});
const { databases, must } = example(import.meta.url, ['WAREHOUSE_URL'], () => ({
  ERP_URL: url(),
  ERP_USER: erp.user,
  ERP_PASSWORD: erp.password,
  ERP_DRIVER: drivers.jars.h2,
}));
const warehouse = (text: string) => databases['WAREHOUSE_URL']?.sql(text);

const order: RowOf<typeof orders> = {
  order_id: 1n,
  customer: 'x',
  total: '1.00',
  closed: 'Y',
  note: null,
  changed_at: '2024-01-01T00:00:00.000000',
};

test('a flag that is a letter becomes a boolean', () => {
  expect(toWarehouse(order).closed).toBe(true);
  expect(toWarehouse({ ...order, closed: 'N' }).closed).toBe(false);
});

test('orders of the ERP are merged into the warehouse, first all, then those that have changed', async () => {
  await must('run', 'seed');
  await must('run', 'oracle-jdbc');
  expect(
    await warehouse('select order_id::int as id, customer, total, closed, note, changed_at::text as at from public.orders order by 1'),
  ).toEqual([
    { id: 1, customer: 'Ærø Shipping', total: '1250.00', closed: true, note: null, at: '2024-01-05 08:15:00' },
    { id: 2, customer: 'Blue, Inc.', total: '9999999999.99', closed: false, note: 'says "urgent"', at: '2024-01-05 08:15:00.000001' },
    { id: 3, customer: 'Ærø Shipping', total: '-0.01', closed: false, note: 'credit', at: '2024-02-29 23:59:59.999999' },
    { id: 4, customer: '車庫 Garage', total: '0.00', closed: true, note: 'line one', at: '2024-03-31 02:30:00' },
    { id: 5, customer: 'Blue, Inc.', total: '17.50', closed: false, note: null, at: '2024-03-31 02:30:00' },
  ]);
  expect(await warehouse('select customer, orders::int, total from open_orders order by 1')).toEqual([
    { customer: 'Blue, Inc.', orders: 2, total: '10000000017.49' },
    { customer: 'Ærø Shipping', orders: 1, total: '-0.01' },
  ]);

  await using shell = await sqlShell(drivers.jars.h2, url(), erp.user, erp.password);
  await shell.sql("UPDATE orders SET closed = 'Y', changed_at = TIMESTAMP '2024-04-01 00:00:00' WHERE order_id = 5");
  await warehouse('update public.orders set note = $$kept$$ where order_id = 1');
  await must('run', 'oracle-jdbc');
  expect(await warehouse('select closed from public.orders where order_id = 5')).toEqual([{ closed: true }]);
  expect(await warehouse('select note from public.orders where order_id = 1')).toEqual([{ note: 'kept' }]);
  expect(await warehouse("select orders::int from open_orders where customer = 'Blue, Inc.'")).toEqual([{ orders: 1 }]);
});
