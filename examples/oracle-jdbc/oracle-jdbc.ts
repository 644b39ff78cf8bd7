import { jdbc } from '@millrace/connectors/jdbc';
import { postgres } from '@millrace/connectors/postgres';
import { daily, extract, load, pipeline, type RowOf, secret } from '@millrace/core';
import { map } from '@millrace/transforms';
import { orders as erpOrders, openOrders } from './tables/erp.ts';
import { orders as warehouseOrders } from './tables/warehouse.ts';

// In production: jdbc:oracle:thin:@//erp.example:1521/ERP and com.oracle.database.jdbc:ojdbc11:<version>, or the path of a jar.
const erp = jdbc({ url: secret('ERP_URL'), user: secret('ERP_USER'), password: secret('ERP_PASSWORD'), drivers: [secret('ERP_DRIVER')] });
const warehouse = postgres({ url: secret('WAREHOUSE_URL') });

/** Oracle has no boolean and no empty text: a flag is a letter, and a note that was empty is NULL. */
export function toWarehouse({ closed, ...order }: RowOf<typeof erpOrders>): RowOf<typeof warehouseOrders> {
  return { ...order, closed: closed === 'Y' };
}

// What has changed since the last run, less an hour in which transactions may still be open: JDBC does not show them.
const changed = extract(erp, erpOrders, { since: 'changed_at', lag: '1h' });
const orders = map(changed, { to: warehouseOrders, row: toWarehouse });
const loaded = load(orders, warehouse.table(warehouseOrders, { mode: 'merge', schema: 'create' }));

// A query in Oracle's own SQL; its columns are compared with the declaration when it is read.
const open = extract(
  erp.query(
    "SELECT customer, COUNT(*) AS orders, CAST(SUM(total) AS NUMERIC(14, 2)) AS total FROM orders WHERE closed = 'N' GROUP BY customer",
    {
      as: openOrders,
    },
  ),
);
const counted = load(open, warehouse.table(openOrders, { mode: 'replace', schema: 'create' }));

export default pipeline({
  name: 'oracle-jdbc',
  runs: daily('03:00', 'Europe/Paris'),
  steps: { changed, orders, loaded, open, counted },
});
