import { postgres } from '@millrace/connectors/postgres';
import { pipeline, secret } from '@millrace/core';
import { sql } from '@millrace/transforms';

const bank = postgres({ url: secret('BANK_URL') });

const sent = sql(bank, [
  'create table if not exists public.statements (id bigint primary key, account text, amount text not null, currency text not null)',
  `insert into public.statements
    select n, 'account ' || n % 50, case when n = 4711 then 'see attachment' else to_char(n * 1.25, 'FM999G990D00') end, (array['EUR','CHF','USD'])[1 + n % 3]
    from generate_series(1, 5000) n on conflict do nothing`,
  "update public.statements set amount = replace(amount, ',', '''') where id <> 4711",
]);

export default pipeline({ name: 'seed', steps: { sent } });
