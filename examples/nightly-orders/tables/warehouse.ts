import { date, int8, numeric, table, text } from '@millrace/core';

export const orderFact = table(
  'analytics.order_fact',
  { order_id: int8(), customer_id: int8(), total: numeric(12, 2), currency: text(), day: date() },
  { key: ['order_id'], redshift: { distKey: 'customer_id', sortKey: ['day'] } },
);
