import { postgres } from '@millrace/connectors/postgres';
import { pipeline, run, secret } from '@millrace/core';
import { sql } from '@millrace/transforms';

/** Makes the shop that `changes-to-lake` follows, and `public.trade(n)`: n transactions of a busy hour in one call. */
const shop = postgres({ url: secret('SHOP_URL') });

const sold = sql(shop, [
  `create table if not exists public.customers (
    id bigint primary key, email text not null, phone text, country text not null, created_at timestamptz not null default now())`,
  `create table if not exists public.orders (
    id bigint primary key, customer_id bigint not null references public.customers, status text not null, total numeric(12,2) not null,
    note text, updated_at timestamptz not null default now())`,
  {
    text: `insert into public.customers
      select n, 'customer' || n || '@example.com', case when n % 3 = 0 then null else '+33 1 ' || n end, (array['FR','DE','US','JP'])[1 + n % 4], now()
      from generate_series(1, $1::text::bigint / 5) n on conflict do nothing`,
    values: [run.param('orders')],
  },
  {
    text: `insert into public.orders
      select n, 1 + n % ($1::text::bigint / 5), 'placed', (n * 104729 % 1000000)::numeric / 100,
        (array[null, '', 'naïve café — 日本語 🚚', E'two\\nlines', repeat('long ', 2000)])[1 + n % 5], now()
      from generate_series(1, $1::text::bigint) n on conflict do nothing`,
    values: [run.param('orders')],
  },
  'create sequence if not exists public.order_id start 100000000',
  `create or replace procedure public.trade(transactions int) language plpgsql as $$
    declare one bigint; another bigint; people bigint := (select max(id) from public.customers);
    begin
      for n in 1..transactions loop
        one := nextval('public.order_id');
        insert into public.orders values (one, 1 + one % people, 'placed', 10 + n % 90, repeat('note ', n % 900), now());
        -- What one order loses another gains, so that the sum of both is the same at every commit.
        another := 1 + (n * 7919) % 1000;
        update public.orders set total = total - 1, updated_at = now() where id = another;
        update public.orders set total = total + 1, status = 'paid' where id = another + 1000;
        if n % 10 = 0 then delete from public.orders where id = one; end if;
        if n % 25 = 0 then update public.customers set phone = '+49 ' || n, email = 'moved' || n || '@example.com' where id = 1 + n % people; end if;
        commit;
      end loop;
    end $$`,
]);

export default pipeline({ name: 'seed', params: { orders: '10000' }, steps: { sold } });
