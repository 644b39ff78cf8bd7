import { date, int4, int8, numeric, table, text } from '@millrace/core';

export const sales = table(
  'public.sales',
  { order_id: int8(), customer_id: int4(), total: numeric(12, 2), day: date() },
  { key: ['order_id'] },
);

export const customers = table('public.customers', { id: int4(), name: text(), country: text() }, { key: ['id'] });
