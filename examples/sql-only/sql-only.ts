import { postgres } from '@millrace/connectors/postgres';
import { cron, int8, numeric, pipeline, run, secret, table, text } from '@millrace/core';
import { call, check, notNull, on, query, rowCount, sql, unique } from '@millrace/transforms';

const warehouse = postgres({ url: secret('WAREHOUSE_URL') });

/** What the last step looks at. Nothing is read from it row by row: no row of this pipeline ever comes to Node. */
const topProducts = table('report.top_products', { rank: int8(), product: text(), revenue: numeric() }, { key: ['rank'] });

// Statements of one step run in one transaction, with a note that they have run: a repeated attempt does nothing.
const cleaned = sql(warehouse, [
  { text: "delete from staging.sales where sold_at < $1::date - interval '90 days'", values: [run.date] },
  'delete from staging.sales where product is null',
]);
const summed = sql(
  warehouse,
  `insert into report.daily_revenue (day, product, revenue)
   select $1::date, product, sum(quantity * price) from staging.sales where sold_at::date = $1::date group by product
   on conflict (day, product) do update set revenue = excluded.revenue`,
  { args: [run.date], after: [cleaned] },
);
const ranked = call(warehouse, 'report.rank_products', { args: [run.param('top')], after: [summed] });
const checked = check(
  warehouse,
  [
    on(topProducts, [notNull('product'), unique('rank'), rowCount({ min: 1 })]),
    query('revenue is positive', 'select 1 from report.daily_revenue where revenue < 0').warn(),
  ],
  { after: [ranked] },
);
// VACUUM refuses to run in a transaction, so it says that it does not need one.
const vacuumed = sql(warehouse, 'vacuum analyze report.daily_revenue', { transaction: false, after: [checked] });

export default pipeline({
  name: 'sql-only',
  runs: cron('30 6 * * 1-5', 'Europe/Paris'),
  params: { top: '3' },
  steps: { cleaned, summed, ranked, checked, vacuumed },
});
