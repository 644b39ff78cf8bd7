import { postgres } from '@millrace/connectors/postgres';
import { pipeline, secret } from '@millrace/core';
import { sql } from '@millrace/transforms';

const warehouse = postgres({ url: secret('WAREHOUSE_URL') });

const stocked = sql(warehouse, [
  'create schema if not exists staging',
  'create schema if not exists report',
  'create table if not exists staging.sales (id bigint primary key, product text, quantity int not null, price numeric(10,2) not null, sold_at timestamptz not null)',
  'create table if not exists report.daily_revenue (day date, product text, revenue numeric not null, primary key (day, product))',
  'create table if not exists report.top_products (rank bigint primary key, product text not null, revenue numeric not null)',
  `create or replace procedure report.rank_products(how_many text) language plpgsql as $$
    begin
      delete from report.top_products;
      insert into report.top_products
        select row_number() over (order by sum(revenue) desc, product), product, sum(revenue) from report.daily_revenue group by product
        order by 1 limit how_many::int;
      raise notice 'ranked % products', (select count(*) from report.top_products);
    end $$`,
  `insert into staging.sales
    select n, case when n % 20 = 0 then null else 'product ' || n % 7 end, 1 + n % 3, 1 + n % 50, now() - n * interval '1 hour'
    from generate_series(1, 5000) n on conflict do nothing`,
]);

export default pipeline({ name: 'seed', steps: { stocked } });
