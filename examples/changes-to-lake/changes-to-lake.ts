import { postgres } from '@millrace/connectors/postgres';
import { s3 } from '@millrace/connectors/s3';
import { capture, continuous, load, pipeline, type RowOf, secret } from '@millrace/core';
import { filter, map } from '@millrace/transforms';
import { orders, sale } from './tables/shop.ts';

const shop = postgres({ url: secret('SHOP_URL') });
const lake = s3({ url: secret('LAKE_URL') });

/** Sums in cents, and no notes. */
export function toSale({ id, customer_id, status, total, updated_at }: RowOf<typeof orders>): RowOf<typeof sale> {
  return { id, customer_id, status, cents: BigInt(total.replace('.', '')), updated_at };
}

const changes = capture(shop, { tables: { orders } });
/** An order that is paid comes into the log as an insert, whatever it was before. */
const paid = filter(changes, { orders: [['status', '=', 'paid']] });
const sales = map(paid, { orders: { to: sale, row: toSale } });
const logged = load(sales, lake.changelog({ prefix: 'sales/', format: 'parquet', roll: { every: '1m', size: '64MB' } }));

export default pipeline({ name: 'changes-to-lake', runs: continuous, steps: { changes, paid, sales, logged } });
