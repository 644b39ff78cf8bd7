import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../test/postgres.ts';
import { millrace, type RunningCommand, startMillrace } from './command.ts';
import { copyOrders, ordersSql, ordersTable, type TestProject, testProject } from './project.ts';

const config = `import { defineConfig, secret } from '@millrace/core';
export default defineConfig({
  pipelines: 'pipelines/*.ts',
  environments: { prod: { secrets: ['env'], state: secret('STATE_URL'), executor: 'fleet', fleet: { name: 'shop' } } },
});
`;

let shop: TestDatabase;
let warehouse: TestDatabase;
let state: TestDatabase;
let project: TestProject;
let workers: RunningCommand[];
const options = () => ({ cwd: project.root, env: { SHOP_URL: shop.url, WAREHOUSE_URL: warehouse.url, STATE_URL: state.url } });
const run = (...args: string[]) => millrace(args, options());

beforeAll(async () => {
  [shop, warehouse] = await Promise.all([testDatabase(), testDatabase()]);
});
afterAll(async () => {
  await Promise.all([shop[Symbol.asyncDispose](), warehouse[Symbol.asyncDispose]()]);
});
beforeEach(async () => {
  workers = [];
  state = await testDatabase();
  await shop.sql('drop schema public cascade; create schema public');
  await warehouse.sql('drop schema public cascade; create schema public; drop schema if exists _millrace cascade');
  await shop.sql(ordersSql);
  project = testProject({ 'millrace.config.ts': config, 'pipelines/copy-orders.ts': copyOrders, 'tables/shop.ts': ordersTable });
});
afterEach(async () => {
  for (const { process: child, ended } of workers) {
    if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid as number), 'SIGKILL');
    await ended;
  }
  project[Symbol.dispose]();
  await state[Symbol.asyncDispose]();
});

async function startWorker(): Promise<RunningCommand> {
  const worker = startMillrace(['worker', '--json', '--http', '0'], options());
  workers.push(worker);
  await worker.said('"type":"working"');
  return worker;
}

/** Every row of the shop takes a while to be read. */
const slowly = (seconds: number) =>
  shop.sql(`alter table public.orders rename to fast;
  create view public.orders as select id, total, note, case when pg_sleep(${seconds}) is null then null else updated_at end as updated_at from public.fast`);
const loaded = () => warehouse.sql('select count(*)::int as rows, count(distinct id)::int as ids from public.orders');
const all = [{ rows: 1000, ids: 1000 }];

interface Attempts {
  stages: { attempts: { worker: string; result: string }[] }[];
}

test('a run that is handed to a fleet is done by a worker of it, and shown here', async () => {
  const [one, other] = await Promise.all([startWorker(), startWorker()]);
  const result = await run('run', 'copy-orders');
  expect(result).toMatchObject({ code: 0, stderr: expect.stringContaining('Succeeded.') });
  expect(await loaded()).toEqual(all);

  process.kill(one.process.pid as number, 'SIGTERM');
  const drained = await one.ended;
  expect(drained).toMatchObject({ code: 143, stdout: expect.stringContaining('"type":"drained"') });
  const working = drained.json<{ type?: string; url?: string }>().find(({ type }) => type === 'working');
  expect(working?.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  expect(await run('run', 'copy-orders')).toMatchObject({ code: 0 });
  process.kill(other.process.pid as number, 'SIGTERM');
  await other.ended;
});

test('without a worker a run waits, and says what for', async () => {
  const waiting = startMillrace(['run', 'copy-orders', '--json'], options());
  await waiting.said('"run"');
  const [started] = (await run('runs', 'list', '--json')).json<{ runs: { id: string }[] }>();
  const id = started?.runs[0]?.id as string;
  await waiting.said('none of its fleet is alive');
  const worker = await startWorker();
  expect(await waiting.ended).toMatchObject({ code: 0 });
  expect(await run('runs', 'show', id, '--json')).toMatchObject({ code: 0 });

  project.write({ 'pipelines/copy-orders.ts': copyOrders.replace("'replace'", "'merge'") });
  const newer = startMillrace(['run', 'copy-orders', '--json'], options());
  await newer.said('"run"');
  await expect
    .poll(async () => (await run('runs', 'show')).stdout, { timeout: 60_000, interval: 500 })
    .toContain('waits for a worker that has this version of "copy-orders"');
  process.kill(worker.process.pid as number, 'SIGTERM');
  await worker.ended;
  expect((await run('runs', 'show')).stdout).toContain('none of its fleet is alive');
  await startWorker();
  expect(await newer.ended).toMatchObject({ code: 0 });
  expect(await loaded()).toEqual(all);
});

test('a worker that is killed in the middle of a stage costs its attempt, and another does the stage', async () => {
  await slowly(0.003);
  const first = await startWorker();
  const running = startMillrace(['run', 'copy-orders', '--json'], options());
  await running.said('"phase":"moving"');
  process.kill(-(first.process.pid as number), 'SIGKILL');
  await first.ended;
  const second = await startWorker();
  expect(await running.ended).toMatchObject({ code: 0 });
  expect(await loaded()).toEqual(all);
  const [shown] = (await run('runs', 'show', '--json')).json<Attempts>();
  const attempts = shown?.stages.flatMap((stage) => stage.attempts) ?? [];
  expect(attempts.map(({ result }) => result)).toEqual(['lost', 'succeeded']);

  // What is short is finished by a worker that is asked to go.
  const last = startMillrace(['run', 'copy-orders', '--json'], options());
  await last.said('"phase":"moving"');
  process.kill(second.process.pid as number, 'SIGTERM');
  expect(await second.ended).toMatchObject({ code: 143 });
  expect(await last.ended).toMatchObject({ code: 0 });
  const [after] = (await run('runs', 'show', '--json')).json<Attempts>();
  expect(after?.stages.flatMap((stage) => stage.attempts.map(({ result }) => result))).toEqual(['succeeded']);
});
