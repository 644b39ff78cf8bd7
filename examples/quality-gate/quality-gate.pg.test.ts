import { expect, test } from 'vitest';
import { example } from '../../packages/cli/test/example.ts';

const { databases, must, run } = example(import.meta.url, ['BANK_URL', 'LEDGER_URL']);
const bank = (text: string) => databases['BANK_URL']?.sql(text);
const ledger = (text: string) => databases['LEDGER_URL']?.sql(text);

test('bad rows are set aside, and a delivery that is not as expected is not loaded', async () => {
  await must('run', 'seed');
  const good = await run('run', 'quality-gate');
  expect(good).toMatchObject({ code: 0, stdout: expect.stringContaining('1 bad row of parsed set aside') });
  expect(await ledger('select count(*)::int as payments from public.payments')).toEqual([{ payments: 4999 }]);
  const rejected = await ledger('select step, code, "row" from public.rejected');
  expect(rejected).toEqual([{ step: 'parsed', code: 'TYPE_MISMATCH', row: expect.stringContaining('see attachment') }]);
  await must('verify', 'quality-gate');

  await bank(
    "update public.statements set account = null, amount = '1' where id = 17; update public.statements set currency = 'DEM' where id < 4",
  );
  const unexpected = await run('run', 'quality-gate');
  expect(unexpected).toMatchObject({ code: 5, stderr: expect.stringContaining('CHECK_FAILED') });
  expect(unexpected.stderr).toMatch(/not null: account.*1 of 4,999/s);
  expect(await ledger('select account from public.payments where id = 17')).toEqual([{ account: 'account 17' }]);

  await bank("update public.statements set amount = 'n/a' where id % 20 = 0");
  const spoilt = await run('run', 'quality-gate');
  expect(spoilt).toMatchObject({ code: 5, stderr: expect.stringContaining('TOO_MANY_BAD_ROWS') });
  const [{ kept } = { kept: 0 }] = (await ledger("select count(*)::int as kept from public.rejected where code = 'TYPE_MISMATCH'")) ?? [];
  expect(kept).toBeGreaterThanOrEqual(100);
});
