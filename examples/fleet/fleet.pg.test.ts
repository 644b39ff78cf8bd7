import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { expect, test, vi } from 'vitest';
import { millrace, startMillrace } from '../../packages/cli/test/command.ts';
import { findRedis } from '../../scripts/redis.mjs';
import { testDatabase } from '../../test/postgres.ts';
import { redisServer } from '../../test/redis-server.ts';
import { startFleet } from './fleet.mjs';
import { toSale } from './sales.ts';

const cwd = fileURLToPath(new URL('.', import.meta.url));
const bundled = fileURLToPath(new URL('../../packages/cli/dist/bundled/main.js', import.meta.url));
const orders = 20_000;

test('a sale is an order without its tax, on its day', () => {
  const order = { id: 1n, customer_id: 7, total: '12.00', note: null, ordered_at: '2026-03-29T23:59:59.999999Z' };
  expect(toSale(order)).toEqual({ order_id: 1n, customer_id: 7, total: '10.00', day: '2026-03-29' });
});

test('a run comes to its end although the worker of one of its stages is killed, and the scheduler has the report made after it', async () => {
  await using shop = await testDatabase();
  await using warehouse = await testDatabase();
  await using state = await testDatabase();
  await using redis = 'command' in findRedis() ? await redisServer() : null;
  const urls = { SHOP_URL: shop.url, WAREHOUSE_URL: warehouse.url, STATE_URL: state.url, ...(redis && { REDIS_URL: redis.url }) };
  const said: string[] = [];
  const fleet = await startFleet({
    command: [process.execPath, '--no-warnings', bundled],
    env: { ...process.env, NODE_OPTIONS: '--conditions=millrace-bundled', MILLRACE_ENV: 'local', ...urls },
    say: (line) => said.push(line),
  });
  const locker = new pg.Client(shop.url).on('error', () => {});
  try {
    await locker.connect();
    expect(await millrace(['run', 'seed', '--param', `orders=${orders}`], { cwd, env: urls })).toMatchObject({ code: 0 });

    // Whoever copies the customers waits for a lock, and is killed while it does.
    await locker.query('begin; lock table public.customers');
    const running = startMillrace(['run', 'sales', '--json'], { cwd, env: urls });
    const attempts = () => state.sql("select worker, result from millrace.attempt where stage = 'known' order by started_at limit 2");
    const killed = await vi.waitFor(async () => (await attempts())[0]?.['worker'] ?? expect.fail('nobody has claimed it'), {
      timeout: 60_000,
    });
    process.kill(Number(/-(\d+)-\w+$/.exec(killed)?.[1]), 'SIGKILL');
    await locker.query('rollback');
    expect(await running.ended).toMatchObject({ code: 0, stdout: expect.stringContaining('"succeeded"') });
    expect(said.filter((line) => line.includes('has ended (SIGKILL)'))).toHaveLength(1);
    expect(await attempts()).toMatchObject([{ worker: killed, result: 'lost' }, { result: 'succeeded' }]);
    expect(await warehouse.sql('select count(*)::int as rows, count(distinct order_id)::int as ids from public.sales')).toEqual([
      { rows: orders, ids: orders },
    ]);
    expect(await warehouse.sql('select sum(orders)::int as orders from public.sales_by_country')).toEqual([{ orders }]);

    await vi.waitFor(async () => expect(await warehouse.sql('select 1 from public.report')).toHaveLength(1), { timeout: 60_000 });
  } finally {
    await locker.end();
    await fleet.stop();
  }
});
