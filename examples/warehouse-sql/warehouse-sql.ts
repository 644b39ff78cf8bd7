import { postgres } from '@millrace/connectors/postgres';
import { daily, pipeline, run, secret } from '@millrace/core';
import { call, partitions, refresh, sqlObjects } from '@millrace/transforms';

const warehouse = postgres({ url: secret('WAREHOUSE_URL') });

// The text of views and procedures is part of the pipeline: a changed file is another plan, and is deployed by the next run.
const objects = sqlObjects(warehouse, new URL('./sql/', import.meta.url), { removed: 'drop' });
const days = partitions(warehouse, 'analytics.sale', {
  by: 'day',
  ahead: 7,
  timeZone: 'Europe/Paris',
  keep: '400d',
  expired: 'detach',
  after: [objects],
});
const booked = call(warehouse, 'analytics.book_sales', { args: [run.date], after: [days] });
// The months are summed from the days, so these come first, whatever the order here.
const fresh = refresh(warehouse, ['analytics.monthly_sales', 'analytics.daily_sales'], { concurrently: true, after: [booked] });

export default pipeline({
  name: 'warehouse-sql',
  runs: daily('02:00', 'Europe/Paris'),
  steps: { objects, days, booked, fresh },
});
