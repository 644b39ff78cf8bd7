import { int4, int8, numeric, table, text, timestamptz } from '@millrace/core';

export const orders = table(
  'public.orders',
  { id: int8(), customer_id: int4(), total: numeric(12, 2), note: text().orNull(), ordered_at: timestamptz() },
  { key: ['id'] },
);

export const customers = table('public.customers', { id: int4(), name: text(), country: text() }, { key: ['id'] });
