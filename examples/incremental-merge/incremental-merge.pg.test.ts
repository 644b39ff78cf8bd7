import { expect, test } from 'vitest';
import { example } from '../../packages/cli/test/example.ts';

const { databases, must, run } = example(import.meta.url, ['CRM_URL', 'MAILING_URL']);
const crm = (text: string) => databases['CRM_URL']?.sql(text);
const mailing = (text: string) => databases['MAILING_URL']?.sql(text);
const moved = async () => {
  const [{ stages } = { stages: [] }] = (await run('runs', 'show', '--json')).json<{
    stages: { state: { output: { receipt: { rows: number } } } }[];
  }>();
  return stages[0]?.state.output.receipt.rows;
};

test('each run reads what has changed since the last one, and nothing twice', async () => {
  await must('run', 'seed');
  await must('run', 'incremental-merge');
  expect(await moved()).toBe(19_800);

  await crm("update public.customers set name = 'Renamed', updated_at = now() - interval '1 minute' where id between 1 and 10");
  await crm("insert into public.customers values (20001, 'late@example.com', 'Within the lag', false, now())");
  await must('run', 'incremental-merge');
  // Rows of the last minute are left for the next run. Those between the two watermarks are read, changed or not.
  expect(await moved()).toBeLessThan(1000);
  expect(
    await mailing(
      "select count(*)::int as renamed, (select count(*)::int from public.contacts) as contacts from public.contacts where name = 'Renamed'",
    ),
  ).toEqual([{ renamed: 10, contacts: 19_800 }]);
  await must('verify', 'incremental-merge');

  await must('run', 'incremental-merge', '--full-refresh');
  expect(await moved()).toBe(19_800);
});
