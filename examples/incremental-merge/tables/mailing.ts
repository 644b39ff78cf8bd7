import { int8, table, text, timestamptz } from '@millrace/core';

export const contacts = table(
  'public.contacts',
  { customer_id: int8(), email: text().orNull(), name: text(), updated_at: timestamptz() },
  { key: ['customer_id'] },
);
