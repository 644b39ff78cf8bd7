import { int8, numeric, table, text, timestamptz } from '@millrace/core';

export const payments = table(
  'public.payments',
  { id: int8(), account: text().orNull(), amount: numeric(12, 2), currency: text() },
  { key: ['id'] },
);

/** Where rows go that could not be made into payments: with the reason, and the row as it came. */
export const rejected = table('public.rejected', {
  load_id: text(),
  pipeline: text(),
  step: text(),
  split: text(),
  ordinal: int8(),
  code: text(),
  reason: text(),
  row: text(),
  rejected_at: timestamptz(),
});
