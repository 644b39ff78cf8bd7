import { glue } from '@millrace/connectors/glue';
import { postgres } from '@millrace/connectors/postgres';
import { s3 } from '@millrace/connectors/s3';
import { sns } from '@millrace/connectors/sns';
import { daily, extract, load, pipeline, run, secret } from '@millrace/core';
import { customers as customerTable, orders as orderTable } from './tables/shop.ts';

const shop = postgres({ url: secret('SHOP_URL') });
const lake = s3({ url: secret('LAKE_URL') });

const orders = extract(shop, orderTable, { since: 'updated_at', lag: '5m' });
const orderFiles = load(orders, lake.parquet({ prefix: 'orders/' }));
const customers = extract(shop, customerTable);
const customerFiles = load(customers, lake.parquet({ prefix: 'customers/' }));

// In a state machine these two are states of their own: no task of ours waits for them.
const report = glue().job(
  'daily-report',
  { arguments: { '--date': run.date } },
  { after: [orderFiles, customerFiles], retry: { attempts: 3 } },
);
const told = sns().publish(
  'arn:aws:sns:eu-west-1:123456789012:reports',
  { ready: run.date },
  {},
  { after: [report], onFailure: 'continue' },
);

export default pipeline({
  name: 'daily-report',
  runs: daily('05:00', 'UTC'),
  steps: { orders, orderFiles, customers, customerFiles, report, told },
});
