import { postgres } from '@millrace/connectors/postgres';
import { extract, load, pipeline, type RowOf, secret } from '@millrace/core';
import { accepted, check, map, notNull, range, rowCount, unique } from '@millrace/transforms';
import { statements as bankStatements } from './tables/bank.ts';
import { payments as ledgerPayments, rejected } from './tables/ledger.ts';

const bank = postgres({ url: secret('BANK_URL') });
const ledger = postgres({ url: secret('LEDGER_URL') });

/** Amounts come as `1'234.50`. What is no amount at all is a bad row: the function need not look. */
export function toPayment(line: RowOf<typeof bankStatements>) {
  return { ...line, amount: line.amount.replaceAll("'", '') };
}

const statements = extract(bank, bankStatements);
// Single bad rows are set aside, with the reason, and the rest goes on: up to 100 of them, and one in a hundred.
const parsed = map(statements, {
  to: ledgerPayments,
  row: toPayment,
  onBadRow: { quarantine: ledger.table(rejected, { mode: 'append', schema: 'create' }), max: 100, maxRate: 0.01 },
});
// What must be true of all of them: all rows are seen before the load commits, and where one expectation fails nothing is committed.
const checked = check(parsed, [
  unique('id'),
  notNull('account'),
  accepted('currency', ['EUR', 'CHF', 'USD']),
  rowCount({ min: 1 }),
  range('amount', { max: '1000000' }).warn(),
]);
const loaded = load(checked, ledger.table(ledgerPayments, { mode: 'merge', schema: 'create' }));

export default pipeline({ name: 'quality-gate', steps: { statements, parsed, checked, loaded } });
