create or replace procedure analytics.book_sales(for_day text) language plpgsql as $$
begin
  delete from analytics.sale where day = for_day::date;
  insert into analytics.sale
    select for_day::date, n, 'product ' || n % 5, 1 + n % 50 from generate_series(1, 1000) n;
end $$;
