import { postgres } from '@millrace/connectors/postgres';
import { onSuccess, pipeline, run, secret } from '@millrace/core';
import { sql } from '@millrace/transforms';

const warehouse = postgres({ url: secret('WAREHOUSE_URL') });

const reported = sql(
  warehouse,
  `insert into public.report
    select $1::date, country, sum(orders) from public.sales_by_country group by country order by sum(total) desc, country limit 1
    on conflict (made_for) do update set best_country = excluded.best_country, orders = excluded.orders`,
  { args: [run.date] },
);

/** The scheduler starts it after each run of "sales" that succeeds, for the same day. */
export default pipeline({ name: 'report', runs: onSuccess({ name: 'sales' }), steps: { reported } });
