import { bool, int8, numeric, table, text, timestamptz } from '@millrace/core';

export const customers = table('public.customers', { id: int8(), email: text(), is_active: bool() }, { key: ['id'] });

export const orders = table(
  'public.orders',
  { id: int8(), customer_id: int8(), status: text(), total: numeric(12, 2), note: text().orNull(), updated_at: timestamptz() },
  { key: ['id'] },
);
