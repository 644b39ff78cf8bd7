import { int8, numeric, table, text, timestamptz } from '@millrace/core';

export const orders = table(
  'public.orders',
  { id: int8(), customer_id: int8(), total: numeric(12, 2), currency: text(), updated_at: timestamptz() },
  { key: ['id'] },
);

export const customers = table('public.customers', { id: int8(), name: text(), country: text() }, { key: ['id'] });
