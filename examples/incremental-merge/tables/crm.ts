import { bool, int8, table, text, timestamptz } from '@millrace/core';

export const customers = table(
  'public.customers',
  { id: int8(), email: text().orNull(), name: text(), internal: bool(), updated_at: timestamptz() },
  { key: ['id'] },
);
