create materialized view analytics.monthly_sales as
  select date_trunc('month', day)::date as month, product, sum(revenue) as revenue from analytics.daily_sales group by 1, 2;
create unique index on analytics.monthly_sales (month, product);
