import { int8, table, text } from '@millrace/core';

/** As the bank sends it: all text, and not all of it what it should be. */
export const statements = table(
  'public.statements',
  { id: int8(), account: text().orNull(), amount: text(), currency: text() },
  { key: ['id'] },
);
