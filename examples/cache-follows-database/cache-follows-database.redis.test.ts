import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { example } from '../../packages/cli/test/example.ts';
import { type RedisServer, redisServer } from '../../test/redis-server.ts';

let cache: RedisServer;
beforeAll(async () => {
  cache = await redisServer({ durable: true });
});
afterAll(() => cache[Symbol.asyncDispose]());
const { databases, must, start } = example(import.meta.url, ['SHOP_URL'], () => ({ CACHE_URL: cache.url }));
const shop = (text: string) => databases['SHOP_URL']?.sql(text);
const numberOf = async (...command: string[]) => Number(/\d+/.exec(await cache.command(...command))?.[0]);

test('a cache follows a busy shop; whatever is killed in the middle, it has what the shop has', async () => {
  await must('run', 'seed');
  const busy = shop('call public.trade(1500)');
  {
    const running = start('run', 'cache-follows-database', '--json');
    await running.said('"phase":"streaming"');
    process.kill(-(running.process.pid as number), 'SIGKILL');
    await running.ended;
  }
  await cache.kill();
  await cache.start();
  await busy;
  await must('run', 'cache-follows-database', '--until', 'caught-up');

  const verified = await must('verify', 'cache-follows-database', '--json');
  expect(verified.json()[0]).toMatchObject({ equal: true });
  const [counts] = (await shop(`select
    (select count(*)::int from public.products where category = 'sale') as sale, (select count(*)::int from public.carts where customer_id = 2) as cart,
    (select count(*)::int from public.carts where customer_id = 1) as emptied`)) as [{ sale: number; cart: number; emptied: number }];
  expect(counts.sale).toBeGreaterThan(0);
  expect(await numberOf('ZCARD', 'products-in:sale')).toBe(counts.sale);
  expect(await numberOf('ZCARD', 'cart-of:2')).toBe(counts.cart);
  expect(await numberOf('ZCARD', 'cart-of:1')).toBe(counts.emptied);

  const cheapest = await shop(
    `select id::int as id, price::float8 as price from public.products where category = 'games' order by price, id::text limit 3`,
  );
  const read = execFileSync(process.execPath, ['read.mjs'], {
    cwd: import.meta.dirname,
    env: { ...process.env, CACHE_URL: cache.url },
    encoding: 'utf8',
  });
  expect(JSON.parse(read)).toEqual(cheapest);
});
