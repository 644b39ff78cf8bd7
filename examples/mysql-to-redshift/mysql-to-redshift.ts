import { mysql } from '@millrace/connectors/mysql';
import { redshift } from '@millrace/connectors/redshift';
import { s3 } from '@millrace/connectors/s3';
import { bool, daily, extract, int8, load, numeric, pipeline, secret, table, text, timestamp, timestamptz, varchar } from '@millrace/core';
import { select } from '@millrace/transforms';

/** Orders that were never shipped have the date 0000-00-00 in this shop. */
const shop = mysql({ url: secret('SHOP_URL'), zeroDates: 'null' });
const lake = s3({ url: secret('LAKE_URL') }); // s3://bucket/prefix, or file:./lake
const warehouse = redshift({ url: secret('WAREHOUSE_URL'), copyRole: secret('COPY_ROLE') });

export const shopOrders = table(
  'orders',
  {
    id: int8(), // int unsigned
    customer: varchar(80), // latin1
    total: numeric(12, 2),
    paid: bool(), // tinyint(1)
    status: varchar(9), // enum
    shipped_at: timestamp(0).orNull(), // datetime, 0000-00-00 where there is none
    note: text().orNull(),
    updated_at: timestamptz(6), // timestamp(6)
  },
  { key: ['id'] },
);

export const orderFact = table(
  'analytics.orders',
  {
    id: int8(),
    customer: varchar(80),
    total: numeric(12, 2),
    paid: bool(),
    status: varchar(9),
    shipped_at: timestamp(0).orNull(),
    updated_at: timestamptz(6),
  },
  { key: ['id'], redshift: { distKey: 'id', sortKey: ['updated_at'] } },
);

const orders = extract(shop, shopOrders, { since: 'updated_at' });
const facts = select(orders, ['id', 'customer', 'total', 'paid', 'status', 'shipped_at', 'updated_at']);
const files = load(facts, lake.parquet({ prefix: 'orders/' }));
const copied = load(files, warehouse.copy(orderFact, { mode: 'merge', schema: 'create' }));

export default pipeline({
  name: 'mysql-to-redshift',
  runs: daily('02:00', 'Europe/Paris'),
  steps: { orders, facts, files, copied },
});
