import { char, int8, numeric, table, timestamp, varchar } from '@millrace/core';

/** ORDERS of the ERP: upper and lower case of names are the same where only one column fits. */
export const orders = table(
  'orders',
  {
    order_id: int8(), // NUMBER(18)
    customer: varchar(80), // VARCHAR2(80)
    total: numeric(12, 2), // NUMBER(12, 2)
    closed: char(1), // 'Y' or 'N'
    note: varchar(400).orNull(),
    changed_at: timestamp(), // TIMESTAMP(6); a DATE of Oracle is timestamp(0)
  },
  { key: ['order_id'] },
);

export const openOrders = table(
  'open_orders',
  { customer: varchar(80), orders: int8(), total: numeric(14, 2).orNull() },
  { key: ['customer'] },
);
