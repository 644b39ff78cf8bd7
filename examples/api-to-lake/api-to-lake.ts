import { bearer, cursor, http, pageNumber } from '@millrace/connectors/http';
import { s3 } from '@millrace/connectors/s3';
import { extract, hourly, load, pipeline, secret } from '@millrace/core';
import { lines as linesTable, orders as ordersTable, products as productsTable } from './tables/shop.ts';

const shop = http({
  url: secret('SHOP_API_URL'),
  auth: bearer(secret('SHOP_API_TOKEN')),
  rate: { requests: 50, per: '1s' },
});
const lake = s3({ url: secret('LAKE_URL') }); // s3://bucket/prefix, or file:./lake

// Orders by a cursor, since the last run: {"data": [{"id": …, "customer": {"id": …}, "lines": […]}], "meta": {"next_cursor": …}}
const listing = {
  records: 'data',
  pages: cursor({ param: 'cursor', from: 'meta.next_cursor', size: { param: 'limit', value: 200 } }),
  since: { param: 'updated_since' },
} as const;
const orders = extract(shop.rows('orders', ordersTable, { ...listing, fields: { customer_id: 'customer.id', city: 'shipping.city' } }), {
  since: 'updated_at',
});
const lines = extract(
  shop.rows('orders', linesTable, { ...listing, each: 'lines', fields: { order_id: '../id', updated_at: '../updated_at' } }),
  { since: 'updated_at' },
);

// Products by page, always all of them.
const products = extract(shop.rows('products', productsTable, { records: 'items', pages: pageNumber({ total: 'total' }) }));

const orderFiles = load(orders, lake.parquet({ prefix: 'orders/' }));
const lineFiles = load(lines, lake.parquet({ prefix: 'lines/' }));
const productFiles = load(products, lake.parquet({ prefix: 'products/', mode: 'replace' }));

export default pipeline({
  name: 'api-to-lake',
  runs: hourly(5),
  steps: { orders, lines, products, orderFiles, lineFiles, productFiles },
});
