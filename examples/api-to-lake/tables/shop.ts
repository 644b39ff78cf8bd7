import { int4, int8, numeric, table, text, timestamptz } from '@millrace/core';

export const orders = table(
  'orders',
  { id: int8(), customer_id: int8(), city: text().orNull(), total: numeric(12, 2), updated_at: timestamptz() },
  { key: ['id'] },
);

export const lines = table(
  'lines',
  { order_id: int8(), place: int4(), sku: text(), quantity: int4(), updated_at: timestamptz() },
  { key: ['order_id', 'place'] },
);

export const products = table('products', { sku: text(), name: text(), price: numeric(12, 2) }, { key: ['sku'] });
