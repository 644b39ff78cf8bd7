import { postgres } from '@millrace/connectors/postgres';
import { pipeline, secret } from '@millrace/core';
import { sql } from '@millrace/transforms';

const crm = postgres({ url: secret('CRM_URL') });

const filled = sql(crm, [
  'create table if not exists public.customers (id bigint primary key, email text, name text not null, internal boolean not null, updated_at timestamptz not null)',
  'create index if not exists customers_updated_at on public.customers (updated_at)',
  `insert into public.customers
    select n, case when n % 10 > 0 then 'customer' || n || '@example.com' end, 'Customer ' || n, n % 100 = 0, now() - interval '1 day' + n * interval '1 second'
    from generate_series(1, 20000) n on conflict do nothing`,
]);

export default pipeline({ name: 'seed', steps: { filled } });
