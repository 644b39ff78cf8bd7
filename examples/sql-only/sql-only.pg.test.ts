import { expect, test } from 'vitest';
import { example } from '../../packages/cli/test/example.ts';

const { databases, must, run } = example(import.meta.url, ['WAREHOUSE_URL']);
const warehouse = (text: string) => databases['WAREHOUSE_URL']?.sql(text);

test('the database does all the work, and the run knows what it was', async () => {
  await must('run', 'seed');
  await warehouse("update staging.sales set sold_at = '2026-03-29T12:00:00Z' where id <= 100");
  await must('run', 'sql-only', '--date', '2026-03-29', '--param', 'top=2');
  expect(await warehouse('select count(*)::int as products, min(day)::text as day from report.daily_revenue')).toEqual([
    { products: 7, day: '2026-03-29' },
  ]);
  expect(await warehouse('select rank::int from report.top_products order by 1')).toEqual([{ rank: 1 }, { rank: 2 }]);
  expect((await run('runs', 'show')).stdout).toMatch(/notice +ranked 2 products/);
  // Nothing left for the checks to look at: the run fails with their exit code, and what comes after them does not run.
  await warehouse("create or replace procedure report.rank_products(how_many text) language sql as 'delete from report.top_products'");
  const empty = await run('run', 'sql-only', '--date', '2026-03-29');
  expect(empty).toMatchObject({ code: 5, stderr: expect.stringContaining('CHECK_FAILED') });
  expect(empty.stdout).toMatch(/vacuumed +skipped/);
});
