import { postgres } from '@millrace/connectors/postgres';
import { pipeline, run, secret } from '@millrace/core';
import { sql } from '@millrace/transforms';

/** Makes the shop whose cache `cache-follows-database` keeps, and `public.trade(n)`: n transactions of a busy hour in one call. */
const shop = postgres({ url: secret('SHOP_URL') });

const filled = sql(shop, [
  `create table if not exists public.products (
    id bigint primary key, name text not null, category text not null, price numeric(12,2) not null, stock int not null, details text)`,
  `create table if not exists public.carts (
    customer_id bigint, product_id bigint references public.products, count int not null, added_at timestamptz not null default now(),
    primary key (customer_id, product_id))`,
  {
    text: `insert into public.products
      select n, 'product ' || n, (array['books','games','tea: black','tea: green'])[1 + n % 4], (n * 7919 % 100000)::numeric / 100, 100,
        (array[null, '', 'naïve café — 日本語', repeat('long ', 2000)])[1 + n % 4]
      from generate_series(1, $1::text::bigint) n on conflict do nothing`,
    values: [run.param('products')],
  },
  `create or replace procedure public.trade(transactions int) language plpgsql as $$
    declare one bigint; many bigint := (select max(id) from public.products);
    begin
      for n in 1..transactions loop
        one := 1 + (n * 104729) % many;
        insert into public.carts values (1 + n % 50, one, 1, now()) on conflict (customer_id, product_id) do update set count = carts.count + 1;
        update public.products set stock = stock - 1, price = price + 0.01 where id = one;
        if n % 10 = 0 then delete from public.carts where customer_id = 1 + n % 50; end if;
        if n % 25 = 0 then update public.products set category = 'sale' where id = one; end if;
        commit;
      end loop;
    end $$`,
]);

export default pipeline({ name: 'seed', params: { products: '1000' }, steps: { filled } });
