import { int4, int8, numeric, table, text, timestamptz } from '@millrace/core';

export const products = table(
  'public.products',
  { id: int8(), name: text(), category: text(), price: numeric(12, 2), stock: int4(), details: text().orNull() },
  { key: ['id'] },
);

export const carts = table(
  'public.carts',
  { customer_id: int8(), product_id: int8(), count: int4(), added_at: timestamptz() },
  { key: ['customer_id', 'product_id'] },
);
