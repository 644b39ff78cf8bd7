import { postgres } from '@millrace/connectors/postgres';
import { s3 } from '@millrace/connectors/s3';
import { capture, continuous, load, pipeline, secret } from '@millrace/core';
import { hash, mask, redact } from '@millrace/transforms';
import { customers, orders } from './tables/shop.ts';

const shop = postgres({ url: secret('SHOP_URL') });
const mirror = postgres({ url: secret('MIRROR_URL') });
const lake = s3({ url: secret('LAKE_URL') });

const changes = capture(shop, { tables: { customers, orders }, snapshot: 'initial' });
/** What is personal leaves neither for the mirror nor for the lake. */
const masked = mask(changes, { customers: { email: hash({ salt: secret('PII_SALT') }), phone: redact() } });
const mirrored = load(masked, mirror.apply({ schema: 'shop' }));
const archived = load(masked, lake.changelog({ prefix: 'cdc/shop/', roll: { every: '5m', size: '128MB' } }));

export default pipeline({ name: 'shop-mirror', runs: continuous, steps: { changes, masked, mirrored, archived } });
