import { expect, test } from 'vitest';
import { example } from '../../packages/cli/test/example.ts';

const { databases, must } = example(import.meta.url, ['WAREHOUSE_URL']);
const warehouse = (text: string) => databases['WAREHOUSE_URL']?.sql(text);

test('the SQL of the folder is deployed, partitions are there, and views are filled in their order', async () => {
  expect((await must('plan', 'warehouse-sql', '--connect')).stdout).toMatch(/objects +20-book-sales\.sql +would be deployed/);
  await must('run', 'warehouse-sql', '--date', '2026-03-29');
  expect(await warehouse('select sum(revenue)::int as revenue from analytics.monthly_sales')).toEqual([{ revenue: 25_500 }]);
  expect(await warehouse('select count(*)::int as days from analytics.sale_d20260329')).toEqual([{ days: 1000 }]);
  expect((await must('runs', 'show')).stdout).toMatch(
    /notice +analytics\.daily_sales: 5 rows in .* concurrently\n.*analytics\.monthly_sales: 5 rows/,
  );

  // Somebody drops a procedure and changes another object by hand: the first comes back, the second is told.
  await warehouse('drop procedure analytics.book_sales; create view analytics.by_hand as select 1 as n');
  expect((await must('doctor', 'warehouse-sql')).stdout).toMatch(
    /20-book-sales\.sql +would be run again, since something that it made is gone/,
  );
  const again = await must('run', 'warehouse-sql', '--date', '2026-03-30');
  expect(again.code).toBe(0);
  expect(await warehouse('select count(*)::int as days, sum(revenue)::int as revenue from analytics.daily_sales')).toEqual([
    { days: 10, revenue: 51_000 },
  ]);
});
