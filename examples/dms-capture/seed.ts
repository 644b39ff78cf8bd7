import { postgres } from '@millrace/connectors/postgres';
import { pipeline, secret } from '@millrace/core';
import { sql } from '@millrace/transforms';

/** Makes the shop as it is after all that stands in `written/`. */
const shop = postgres({ url: secret('SHOP_URL') });

const sold = sql(shop, [
  'create table if not exists public.customers (id bigint primary key, email text not null, is_active boolean not null)',
  `create table if not exists public.orders (
    id bigint primary key, customer_id bigint not null references public.customers, status text not null, total numeric(12,2) not null,
    note text, updated_at timestamptz not null)`,
  "insert into public.customers values (1, 'ada@example.com', true), (2, 'grace@example.com', false), (4, 'edsger@example.com', true) on conflict do nothing",
  `insert into public.orders values
    (10, 1, 'paid', 12.50, 'ring twice', '2026-03-28 10:00:05+00'),
    (11, 2, 'placed', 99.00, null, '2026-03-28 10:00:00+00'),
    (13, 4, 'placed', 7.25, E'two lines,\\nand a comma', '2026-03-29 08:00:01+00') on conflict do nothing`,
]);

export default pipeline({ name: 'seed', steps: { sold } });
