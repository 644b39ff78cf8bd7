create materialized view analytics.daily_sales as
  select day, product, sum(amount) as revenue from analytics.sale group by day, product;
create unique index on analytics.daily_sales (day, product);
