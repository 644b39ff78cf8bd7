import { setTimeout as sleep } from 'node:timers/promises';
import { engineFailpoints } from '@millrace/core/runtime';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../test/postgres.ts';
import { type CommandResult, millrace, startMillrace } from './command.ts';
import { config, copyOrders, ordersSql, ordersTable, type TestProject, testProject } from './project.ts';

// A test starts several processes one after the other, on machines that are busy.
vi.setConfig({ testTimeout: 300_000 });

const shopMirror = `import { postgres } from '@millrace/connectors/postgres';
import { capture, continuous, load, pipeline, secret } from '@millrace/core';
import { mask, redact } from '@millrace/transforms';
import { items, orders } from '../tables/shop.ts';

const shop = postgres({ url: secret('SHOP_URL') });
const warehouse = postgres({ url: secret('WAREHOUSE_URL') });
const changes = capture(shop, { tables: { orders, items }, heartbeat: '1s' });
const masked = mask(changes, { orders: { note: redact() } });
const mirrored = load(masked, warehouse.apply({ schema: 'shop' }));

export default pipeline({ name: 'shop-mirror', runs: continuous, steps: { changes, masked, mirrored } });
`;

const tables = `${ordersTable}
export const items = table('public.items', { order_id: int8(), line: int8(), what: text() }, { key: ['order_id', 'line'] });
`;

const shopSql = `${ordersSql}
create table public.items (order_id bigint, line bigint, what text not null, primary key (order_id, line));
insert into public.items select n, l, 'item ' || n || '/' || l from generate_series(1, 500) n, generate_series(1, 3) l;`;

let shop: TestDatabase;
let warehouse: TestDatabase;
let state: TestDatabase;
let project: TestProject;
const options = () => ({ cwd: project.root, env: { SHOP_URL: shop.url, WAREHOUSE_URL: warehouse.url, MILLRACE_STATE_URL: state.url } });
const run = (...args: string[]) => millrace(args, options());
const start = (...args: string[]) => startMillrace(args, options());

beforeAll(() => {
  project = testProject({
    'millrace.config.ts': config,
    'pipelines/copy-orders.ts': copyOrders,
    'pipelines/shop-mirror.ts': shopMirror,
    'tables/shop.ts': tables,
  });
});
afterAll(() => project[Symbol.dispose]());
beforeEach(async () => {
  [shop, warehouse, state] = await Promise.all([testDatabase(), testDatabase(), testDatabase()]);
  await shop.sql(shopSql);
});
afterEach(async () => {
  for (const database of [state, warehouse, shop]) await database[Symbol.asyncDispose]();
});

interface Status {
  pipeline: string;
  run: string | null;
  state: { at: string; how?: string };
  stream: { position: string; tables: Record<string, { at: string }>; sinks: { name: string; position: string }[] } | null;
  health: { slot: string; state: string; retainedBytes: number } | null;
  sourceError: { code: string } | null;
}

async function statusOf(...args: string[]): Promise<Status> {
  const { code, stdout, stderr, json } = await run('status', 'shop-mirror', '--json', ...args);
  expect({ code, stderr, stdout }).toMatchObject({ code: 0, stderr: '' });
  return json<{ streams: [Status] }>()[0]?.streams[0] as Status;
}

/** What both databases have; equal where nothing is lost or doubled. */
const contents = async (database: TestDatabase, schema: string) =>
  database.sql(`select (select count(*)::int from ${schema}.orders) as orders, (select sum(total)::text from ${schema}.orders) as total,
    (select count(*)::int from ${schema}.items) as items, (select sum(hashtextextended(i::text, 0))::text from ${schema}.items i) as sum`);
const mirror = () => contents(warehouse, 'shop');
const source = () => contents(shop, 'public');

const kill = async (running: ReturnType<typeof start>): Promise<CommandResult> => {
  process.kill(-(running.process.pid as number), 'SIGKILL');
  return running.ended;
};

test('a shop is mirrored until it has caught up, followed until Ctrl-C, and gone on with after a kill', async () => {
  const first = await run('run', 'shop-mirror', '--until', 'caught-up');
  expect(first).toMatchObject({ code: 0, stderr: expect.stringContaining('Succeeded.') });
  expect(first.stdout).toMatch(/^changes +succeeded +columns/m);
  expect(await mirror()).toEqual(await source());
  expect(await warehouse.sql("select count(*)::int as unmasked from shop.orders where note like 'note %'")).toEqual([{ unmasked: 0 }]);
  const stopped = await statusOf();
  expect(stopped).toMatchObject({
    state: { at: 'stopped', how: 'caught-up' },
    stream: { tables: { orders: { at: 'ready' } } },
    sourceError: null,
  });
  expect(stopped.health?.retainedBytes).toBeGreaterThanOrEqual(0);

  const running = start('run', 'shop-mirror', '--json');
  await running.said('"phase":"streaming"');
  await shop.sql(
    "update public.orders set total = total + 1 where id <= 10; delete from public.items where order_id = 5; insert into public.items values (5, 9, 'late')",
  );
  await vi.waitFor(async () => expect(await mirror()).toEqual(await source()), { timeout: 30_000, interval: 200 });
  await vi.waitFor(
    async () => {
      expect(await statusOf()).toMatchObject({ state: { at: 'running' }, health: { state: 'reserved' } });
      expect((await run('status')).stdout).toMatch(/^shop-mirror +changes from secret\(SHOP_URL\) +streaming for/m);
    },
    { timeout: 60_000 },
  );

  const compared = await run('verify', 'shop-mirror', '--json');
  expect(compared).toMatchObject({ code: 0 });
  expect(compared.json()[0]).toMatchObject({
    equal: true,
    targets: [{ stream: { table: 'orders', followed: true } }, { stream: { table: 'items' } }],
  });
  await warehouse.sql('update shop.orders set total = 0 where id = 7; delete from shop.items where order_id = 8 and line = 2');
  const different = await run('verify', 'shop-mirror');
  expect(different).toMatchObject({ code: 1 });
  expect(different.stdout).toMatch(/^7 +total +11.50 +0.00$/m);
  expect(different.stdout).toMatch(/^8, 2 +\(row\) +.* missing$/m);
  await warehouse.sql("update shop.orders set total = 11.5 where id = 7; insert into shop.items values (8, 2, 'item 8/2')");

  const second = await run('run', 'shop-mirror');
  expect(second).toMatchObject({ code: 75, stderr: expect.stringContaining('RUN_HELD') });
  expect(second.stderr).toContain('"millrace status shop-mirror"');

  process.kill(-(running.process.pid as number), 'SIGINT');
  expect(await running.ended).toMatchObject({ code: 130 });
  expect(await statusOf()).toMatchObject({ state: { at: 'stopped', how: 'interrupted' }, sourceError: null });

  const again = start('run', 'shop-mirror', '--json');
  await again.said('"phase":"streaming"');
  await shop.sql("insert into public.orders select n, 1, 'x', now() from generate_series(2001, 2100) n");
  await kill(again);
  expect(await run('run', 'shop-mirror', '--until', 'caught-up')).toMatchObject({ code: 0 });
  expect(await mirror()).toEqual(await source());
  const listed = (await run('runs', 'list', '--json')).json<{ runs: { state: { at: string } }[] }>()[0]?.runs;
  expect(listed?.map((one) => one.state.at)).toEqual(['succeeded', 'cancelled', 'cancelled', 'succeeded']);
});

test('a table is copied again while the stream goes on under load, and all of them when nobody follows it', async () => {
  const running = start('run', 'shop-mirror', '--json');
  await running.said('"phase":"streaming"');
  await warehouse.sql("update shop.items set what = 'spoiled'; delete from shop.items where order_id < 100");
  let busy = true;
  const load = (async () => {
    for (let n = 0; busy; n++) {
      await shop.sql(
        `update public.orders set total = total + 1 where id = ${1 + (n % 900)}; update public.items set what = 'again ${n}' where order_id = ${1 + (n % 400)}; insert into public.items values (${1000 + n}, 1, 'new')`,
      );
      await sleep(10);
    }
  })();
  expect(await run('resync', 'shop-mirror', '--table', 'nothing')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('orders, items'),
  });
  const copied = await run('resync', 'shop-mirror', '--table', 'items');
  const underLoad = await run('verify', 'shop-mirror', '--json');
  busy = false;
  await load;
  expect(underLoad.json()[0]).toMatchObject({ equal: true, targets: [{ differences: [] }, { differences: [] }] });
  expect(copied).toMatchObject({ code: 0, stderr: expect.stringContaining('The new copy of items has taken over.') });
  await vi.waitFor(async () => expect(await mirror()).toEqual(await source()), { timeout: 30_000, interval: 200 });
  process.kill(running.process.pid as number, 'SIGTERM');
  expect(await running.ended).toMatchObject({ code: 143 });

  await warehouse.sql('delete from shop.orders where id < 500');
  const all = await run('resync', 'shop-mirror', '--yes');
  expect(all).toMatchObject({ code: 0, stderr: expect.stringContaining('copies everything again') });
  expect(await mirror()).toEqual(await source());
});

test('of two that start at once one follows the stream, and the other says so', async () => {
  const both = [start('run', 'shop-mirror', '--json'), start('run', 'shop-mirror', '--json')];
  const loser = await Promise.race(both.map(async (one) => ({ one, ended: await one.ended })));
  expect(loser.ended).toMatchObject({ code: 75 });
  const winner = both.find((one) => one !== loser.one) as (typeof both)[0];
  await winner.said('"phase":"streaming"');
  await kill(winner);
  expect(await statusOf()).toMatchObject({ state: { at: 'stopped', how: 'interrupted' } });
});

test('a twin with a state database of its own takes the stream over, and the first says so and ends', async () => {
  const first = start('run', 'shop-mirror');
  await first.said('streaming:');
  await using elsewhere = await testDatabase();
  const twin = startMillrace(['run', 'shop-mirror', '--json'], {
    ...options(),
    env: { ...options().env, MILLRACE_STATE_URL: elsewhere.url },
  });
  expect(await first.ended).toMatchObject({ code: 75, stderr: expect.stringMatching(/state database of its own[\s\S]*ATTEMPT_FENCED/) });
  await twin.said('"phase":"streaming"');
  await shop.sql('update public.orders set total = total + 1');
  await vi.waitFor(async () => expect(await mirror()).toEqual(await source()), { timeout: 30_000, interval: 200 });
  process.kill(twin.process.pid as number, 'SIGINT');
  expect(await twin.ended).toMatchObject({ code: 130 });
});

test('a machine that dies at every instant of a stream costs time, and neither loses nor doubles anything', async () => {
  const points = engineFailpoints.filter((point) => point.startsWith('engine.stream.'));
  for (const point of [...points, 'worker.outcome.known']) {
    const dying = millrace(['run', 'shop-mirror', '--until', 'caught-up'], {
      ...options(),
      env: { ...options().env, MILLRACE_FAILPOINT: point },
    });
    await shop.sql("insert into public.items select 5000 + count(*), 1, 'while it died' from public.items");
    expect({ point, signal: (await dying).signal }).toEqual({ point, signal: 'SIGKILL' });
    await shop.sql('update public.orders set total = total + 1 where id <= 20');
  }
  expect(await run('run', 'shop-mirror', '--until', 'caught-up')).toMatchObject({ code: 0 });
  expect(await mirror()).toEqual(await source());
});

test('a slot that is gone is told, with the command that helps', async () => {
  expect((await run('run', 'shop-mirror', '--until', 'caught-up')).code).toBe(0);
  await shop.sql('select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()');
  const lost = await run('run', 'shop-mirror');
  expect(lost).toMatchObject({ code: 1, stderr: expect.stringContaining('RESYNC_REQUIRED') });
  expect(lost.stderr).toContain('resync shop-mirror"');
  const status = await run('status', 'shop-mirror');
  expect(status.stdout).toContain('not running since');
  expect(status.stdout).toContain('RESYNC_REQUIRED');
  expect(await run('resync', 'shop-mirror')).toMatchObject({ code: 0 });
  expect(await mirror()).toEqual(await source());
});

test('--until is for pipelines that follow changes, and so is resync', async () => {
  for (const args of [
    ['run', 'copy-orders', '--until', 'caught-up'],
    ['resync', 'copy-orders'],
  ])
    expect(await run(...args)).toMatchObject({ code: 2, stderr: expect.stringContaining('CONFIG_INVALID') });
});
