import { postgres } from '@millrace/connectors/postgres';
import { pipeline, run, secret } from '@millrace/core';
import { sql } from '@millrace/transforms';

const shop = postgres({ url: secret('SHOP_URL') });
const warehouse = postgres({ url: secret('WAREHOUSE_URL') });

const sold = sql(shop, [
  'create table if not exists public.customers (id int primary key, name text not null, country text not null)',
  `create table if not exists public.orders (
    id bigint primary key, customer_id int not null, total numeric(12,2) not null, note text, ordered_at timestamptz not null)`,
  `insert into public.customers
    select n, 'Customer ' || n, (array['FR','DE','IT','ES','NL','PT'])[1 + n % 6] from generate_series(1, 1000) n on conflict do nothing`,
  {
    text: `insert into public.orders
      select n, 1 + n * 7919 % 1000, (n * 104729 % 100000)::numeric / 100, repeat('note ', (n % 20)::int), now() - n * interval '11 seconds'
      from generate_series(1, $1::text::bigint) n on conflict do nothing`,
    values: [run.param('orders')],
  },
]);

const stocked = sql(warehouse, [
  'create table if not exists public.sales_by_country (day date, country text, orders bigint not null, total numeric not null, primary key (day, country))',
  'create table if not exists public.report (made_for date primary key, best_country text not null, orders bigint not null)',
]);

export default pipeline({ name: 'seed', params: { orders: '300000' }, steps: { sold, stocked } });
