-- Tables are made where they are missing; no deployment ever drops one.
create schema if not exists analytics;
create table if not exists analytics.sale (
  day date not null,
  id int8 not null,
  product text not null,
  amount numeric(12, 2) not null,
  primary key (day, id)
) partition by range (day);
