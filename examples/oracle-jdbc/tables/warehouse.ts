import { bool, int8, numeric, table, text, timestamp } from '@millrace/core';

export const orders = table(
  'public.orders',
  { order_id: int8(), customer: text(), total: numeric(12, 2), closed: bool(), note: text().orNull(), changed_at: timestamp() },
  { key: ['order_id'] },
);
