import { int8, numeric, table, text, timestamptz } from '@millrace/core';

export const orders = table(
  'public.orders',
  { id: int8(), customer_id: int8(), status: text(), total: numeric(12, 2), note: text().orNull(), updated_at: timestamptz() },
  { key: ['id'] },
);

/** An order as analysts see it. */
export const sale = table(
  'sale',
  { id: int8(), customer_id: int8(), status: text(), cents: int8(), updated_at: timestamptz() },
  { key: ['id'] },
);
