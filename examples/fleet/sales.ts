import { postgres } from '@millrace/connectors/postgres';
import { extract, hourly, load, pipeline, type RowOf, secret } from '@millrace/core';
import { map, sql } from '@millrace/transforms';
import { customers as shopCustomers, orders as shopOrders } from './tables/shop.ts';
import { customers as knownCustomers, sales as salesTable } from './tables/warehouse.ts';

const shop = postgres({ url: secret('SHOP_URL') });
const warehouse = postgres({ url: secret('WAREHOUSE_URL') });

/** What it was sold for, without the tax in it. */
export function toSale({ id, customer_id, total, ordered_at }: RowOf<typeof shopOrders>) {
  return { order_id: id, customer_id, total: (Number(total) / 1.2).toFixed(2), day: ordered_at.slice(0, 10) };
}

// Splits of a megabyte: whichever workers are free take some of them, and what all have staged is committed once.
const orders = extract(shop, shopOrders, { splitBytes: 1024 * 1024 });
const sales = map(orders, { to: salesTable, row: toSale });
const sold = load(sales, warehouse.table(salesTable, { mode: 'replace', schema: 'create' }));

const customers = extract(shop, shopCustomers);
const known = load(customers, warehouse.table(knownCustomers, { mode: 'replace', schema: 'create' }));

// Begins when both are there, in whichever worker that was.
const summed = sql(
  warehouse,
  [
    'delete from public.sales_by_country',
    `insert into public.sales_by_country
      select day, country, count(*), sum(total) from public.sales join public.customers on customers.id = customer_id group by day, country`,
  ],
  { after: [sold, known] },
);

export default pipeline({ name: 'sales', runs: hourly(5), steps: { orders, sales, sold, customers, known, summed } });
