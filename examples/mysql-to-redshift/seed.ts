import { mysql } from '@millrace/connectors/mysql';
import { pipeline, secret } from '@millrace/core';
import { sql } from '@millrace/transforms';

/** Makes the shop that `mysql-to-redshift` reads. */
const shop = mysql({ url: secret('SHOP_URL') });

const made = sql(
  shop,
  [
    `create table if not exists orders (
      id int unsigned not null primary key, customer varchar(80) character set latin1 not null, total decimal(12,2) not null, paid tinyint(1) not null,
      status enum('new','shipped','cancelled') not null, shipped_at datetime not null, note text, updated_at timestamp(6) not null default current_timestamp(6) on update current_timestamp(6))`,
  ],
  { transaction: false },
);

const digits =
  'select 0 as d union all select 1 union all select 2 union all select 3 union all select 4 union all select 5 union all select 6 union all select 7 union all select 8 union all select 9';

/** Ids beyond two thousand million, names of a Western European, sums with all their digits, dates that are none. */
const sold = sql(
  shop,
  [
    "set session sql_mode = ''",
    `insert ignore into orders (id, customer, total, paid, status, shipped_at, note)
      select 4294962295 + n, elt(1 + n % 3, 'Zürich AG', 'Señor Peña', 'O''Hara'), n * 7919 % 1000000 / 100 - if(n % 50 = 0, 9999999999, 0), n % 2,
        elt(1 + n % 3, 'new', 'shipped', 'cancelled'), if(n % 3 = 1, '2024-02-29 23:59:59', '0000-00-00'), elt(n % 3, '', 'a note, "quoted"')
      from (select a.d + 10 * b.d + 100 * c.d + 1000 * e.d as n from (${digits}) a, (${digits}) b, (${digits}) c, (${digits}) e) numbers where n < 5000`,
  ],
  { after: [made] },
);

export default pipeline({ name: 'seed', steps: { made, sold } });
