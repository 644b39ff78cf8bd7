import { postgres } from '@millrace/connectors/postgres';
import { redshift } from '@millrace/connectors/redshift';
import { s3 } from '@millrace/connectors/s3';
import { daily, extract, load, pipeline, type RowOf, run, secret } from '@millrace/core';
import { call, map } from '@millrace/transforms';
import { orders as shopOrders } from './tables/shop.ts';
import { orderFact } from './tables/warehouse.ts';

const shop = postgres({ url: secret('SHOP_URL') });
const lake = s3({ url: secret('LAKE_URL') }); // s3://bucket/prefix, or file:./lake
const warehouse = redshift({ url: secret('WAREHOUSE_URL'), copyRole: secret('COPY_ROLE') });

/** Test orders carry no currency and are left out of the warehouse. */
export function toFact(order: RowOf<typeof shopOrders>) {
  if (order.currency === '') return null;
  return {
    order_id: order.id,
    customer_id: order.customer_id,
    total: order.total,
    currency: order.currency,
    day: order.updated_at.slice(0, 10),
  };
}

const orders = extract(shop, shopOrders, { since: 'updated_at', lag: '5m' });
const facts = map(orders, { to: orderFact, row: toFact });
const files = load(facts, lake.parquet({ prefix: 'orders/', partitionBy: ['day'] }));
const copied = load(files, warehouse.copy(orderFact, { mode: 'merge' }));
const refreshed = call(warehouse, 'analytics.refresh_daily_sales', { args: [run.date], after: [copied] });

export default pipeline({
  name: 'nightly-orders',
  runs: daily('02:00', 'Europe/Paris'),
  steps: { orders, facts, files, copied, refreshed },
});
