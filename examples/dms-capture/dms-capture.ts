import { dms } from '@millrace/connectors/dms';
import { postgres } from '@millrace/connectors/postgres';
import { s3 } from '@millrace/connectors/s3';
import { capture, continuous, load, pipeline, secret } from '@millrace/core';
import { customers, orders } from './tables/shop.ts';

const shop = postgres({ url: secret('SHOP_URL') });
const mirror = postgres({ url: secret('MIRROR_URL') });

/** The task loads the shop and follows its log; what it writes to S3 is read from there. */
const engine = dms({
  task: 'arn:aws:dms:eu-west-1:123456789012:task:SHOPTOLAKE',
  files: s3({ url: secret('FILES_URL') }),
  output: { DataFormat: 'csv' },
});

const changes = capture(shop, { tables: { customers, orders }, engine });
const mirrored = load(changes, mirror.apply({ schema: 'shop' }));

export default pipeline({ name: 'dms-capture', runs: continuous, steps: { changes, mirrored } });
