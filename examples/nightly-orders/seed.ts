import { postgres } from '@millrace/connectors/postgres';
import { pipeline, run, secret } from '@millrace/core';
import { sql } from '@millrace/transforms';

/** Makes the shop and the warehouse that `nightly-orders` needs, so that it can be tried on an empty machine. */
const shop = postgres({ url: secret('SHOP_URL') });
const warehouse = postgres({ url: secret('WAREHOUSE_URL') });

/** Orders with what real ones have: names in many scripts, quotes, line breaks, no note, an empty note, large and negative sums, microseconds. */
const sold = sql(shop, [
  `create table if not exists public.orders (
    id bigint primary key, customer_id bigint not null, total numeric(12,2) not null, currency text not null, note text, updated_at timestamptz not null)`,
  `create or replace function public.make_orders(first bigint, last bigint, changed timestamptz) returns setof public.orders language sql stable as $$
    select n, 1 + n * 7919 % 50000,
      case n % 1000 when 0 then 9999999999.99 when 1 then -0.01 when 2 then 0 else (n * 104729 % 1000000)::numeric / 100 end,
      case when n % 97 = 0 then '' else (array['EUR','USD','GBP','CHF','JPY'])[1 + n % 5] end,
      (array[null, '', 'plain', 'naïve café — 日本語 🚚', 'says "it''s fine"', E'two\\nlines\\tand a tab', E'back\\\\slash, comma; semicolon', repeat('long ', 40)])[1 + n % 8],
      changed - (last - n) * interval '1.000237 seconds'
    from generate_series(first, last) n $$`,
  {
    text: `insert into public.orders select * from public.make_orders(1, $1::text::bigint, date_trunc('day', now()) - interval '1 hour')
      on conflict (id) do nothing`,
    values: [run.param('orders')],
  },
]);

const stocked = sql(warehouse, [
  'create schema if not exists analytics',
  `create table if not exists analytics.order_fact (
    order_id bigint primary key, customer_id bigint not null, total numeric(12,2) not null, currency text not null, day date not null)`,
  `create table if not exists analytics.daily_sales (
    day date, currency text, orders bigint not null, total numeric not null, refreshed_for date not null, primary key (day, currency))`,
  `create or replace procedure analytics.refresh_daily_sales(for_day text) language plpgsql as $$
    begin
      delete from analytics.daily_sales;
      insert into analytics.daily_sales
        select day, currency, count(*), sum(total), for_day::date from analytics.order_fact group by day, currency;
      raise notice 'daily sales hold % days', (select count(distinct day) from analytics.daily_sales);
    end $$`,
]);

export default pipeline({ name: 'seed', params: { orders: '10000' }, steps: { sold, stocked } });
