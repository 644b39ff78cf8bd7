// What an application does: it asks the cache, and nobody has to write to it but the pipeline.
import { Redis } from 'ioredis';

try {
  process.loadEnvFile('.env');
} catch {}
const cache = new Redis(process.env.CACHE_URL ?? 'redis://127.0.0.1:6379', { maxRetriesPerRequest: 1 });

const cheapest = await cache.zrange('products-in:games', 0, 2);
const products = cheapest.length > 0 ? await cache.mget(cheapest.map((id) => `product:${id}`)) : [];
console.log(JSON.stringify(products.map((text) => JSON.parse(text ?? 'null')).map(({ id, price }) => ({ id, price }))));
cache.disconnect();
