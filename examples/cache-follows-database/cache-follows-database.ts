import { postgres } from '@millrace/connectors/postgres';
import { redis } from '@millrace/connectors/redis';
import { capture, continuous, load, pipeline, secret } from '@millrace/core';
import { carts, products } from './tables/shop.ts';

const shop = postgres({ url: secret('SHOP_URL') });
const cache = redis({ url: secret('CACHE_URL') });

const changes = capture(shop, { tables: { products, carts } });

/** A product is one GET away, a category a sorted set by price, a cart the newest things first. */
const cached = load(
  changes,
  cache.apply({
    tables: {
      products: { key: 'product:<id>', as: 'json', sorted: [{ key: 'products-in:<category>', score: 'price' }] },
      carts: {
        key: 'in-cart:<customer_id>:<product_id>',
        sorted: [{ key: 'cart-of:<customer_id>', score: 'added_at', member: '<product_id>' }],
      },
    },
  }),
);

export default pipeline({ name: 'cache-follows-database', runs: continuous, steps: { changes, cached } });
