import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../test/postgres.ts';
import { millrace, startMillrace } from './command.ts';
import { config, copyOrders, ordersSql, ordersTable, type TestProject, testProject } from './project.ts';

// A test starts several processes one after the other, on machines that are busy.
vi.setConfig({ testTimeout: 120_000 });

let shop: TestDatabase;
let warehouse: TestDatabase;
let state: TestDatabase;
let project: TestProject;
const options = () => ({ cwd: project.root, env: { SHOP_URL: shop.url, WAREHOUSE_URL: warehouse.url, MILLRACE_STATE_URL: state.url } });
const run = (...args: string[]) => millrace(args, options());
const start = (...args: string[]) => startMillrace(args, options());

beforeAll(async () => {
  [shop, warehouse] = await Promise.all([testDatabase(), testDatabase()]);
});
afterAll(async () => {
  await Promise.all([shop[Symbol.asyncDispose](), warehouse[Symbol.asyncDispose]()]);
});
beforeEach(async () => {
  state = await testDatabase();
  await shop.sql('drop schema public cascade; create schema public');
  await warehouse.sql('drop schema public cascade; create schema public; drop schema if exists _millrace cascade');
  await shop.sql(ordersSql);
  project = testProject({ 'millrace.config.ts': config, 'pipelines/copy-orders.ts': copyOrders, 'tables/shop.ts': ordersTable });
});
afterEach(async () => {
  project[Symbol.dispose]();
  await state[Symbol.asyncDispose]();
});

/** Every row of the shop takes a while to be read. */
const slowly = (seconds: number) =>
  shop.sql(`alter table public.orders rename to fast;
  create view public.orders as select id, total, note, case when pg_sleep(${seconds}) is null then null else updated_at end as updated_at from public.fast`);
const quickly = () => shop.sql('drop view public.orders; alter table public.fast rename to orders');

interface Result {
  type: string;
  run: string;
  exitCode: number;
  state: { at: string };
  stages: { id: string; attempts: unknown[]; state: { at: string; output: { receipt: { rows: number } } } }[];
}

test('a run says what it did: lines and a table for people, and the same as JSON', async () => {
  const first = await run('run', 'copy-orders');
  expect(first).toMatchObject({ code: 0 });
  expect(first.stdout).toMatch(/stage +state +lane +rows .*\ncopied +succeeded +bytes +1,000 /);
  expect(first.stderr).toMatch(/\d\d:\d\d:\d\d {2}copied {2}running in the bytes lane\n/);
  expect(first.stderr).toContain('Succeeded.');
  expect(await warehouse.sql('select count(*)::int as rows from public.orders')).toEqual([{ rows: 1000 }]);

  const second = await run('run', 'copy-orders', '--json');
  expect(second).toMatchObject({ code: 0, stderr: '' });
  const lines = second.json<Result>();
  expect(new Set(lines.map((line) => (line as unknown as { schemaVersion: number }).schemaVersion))).toEqual(new Set([1]));
  expect(lines[0]).toMatchObject({ type: 'run', pipeline: 'copy-orders', continued: false });
  expect(lines.at(-1)).toMatchObject({
    type: 'result',
    exitCode: 0,
    state: { at: 'succeeded' },
    stages: [{ id: 'copied', lane: 'bytes', state: { output: { receipt: { rows: 1000 } } } }],
  });

  const listed = await run('runs', 'list', '--json');
  expect(listed.json<{ runs: { id: string }[] }>()[0]?.runs.map(({ id }) => id)).toEqual([lines[0]?.run, expect.any(String)]);
  expect(await run('runs', 'logs')).toMatchObject({ code: 0 });
  expect(await run('runs', 'show', 'nothing')).toMatchObject({ code: 2, stderr: expect.stringContaining('RUN_NOT_FOUND') });
  const shown = await run('runs', 'show', String(lines[0]?.run));
  expect(shown.stdout).toContain('1,000 rows');
  expect(`${first.stdout}${first.stderr}${second.stdout}${shown.stdout}`).not.toMatch(/postgres:\/\//);
});

test('plan --diff compares with the last run, and verify the target with the source: exit codes 3 and 1', async () => {
  expect(await run('plan', 'copy-orders', '--diff')).toMatchObject({ code: 3 });
  await run('run', 'copy-orders');
  expect(await run('plan', 'copy-orders', '--diff')).toMatchObject({ code: 0, stdout: expect.stringContaining('no changes') });
  const equal = await run('verify', 'copy-orders');
  expect(equal).toMatchObject({ code: 0 });
  expect(equal.stdout).toMatch(/copied +public\.orders +1,000 +1,000 +([0-9a-f]{16}) +\1 +equal/);

  project.write({ 'pipelines/copy-orders.ts': copyOrders.replace("mode: 'replace'", "mode: 'merge'") });
  const changed = await run('plan', 'copy-orders', '--diff');
  expect(changed.code).toBe(3);
  expect(changed.stdout).toMatch(/mode: "replace" → "merge"/);
  await warehouse.sql("update public.orders set note = E'changed\\nhere' where id = 500; delete from public.orders where id = 501");
  const different = await run('verify', 'copy-orders');
  expect(different).toMatchObject({ code: 1 });
  expect(different.stdout).toMatch(/^500 +note +NULL +changed\\nhere$/m);
  expect(different.stdout).toMatch(/^501 +\(row\) +.* missing$/m);
});

test('a failed run says what to do, shows its attempts, and goes on after the repair', async () => {
  await shop.sql('alter table public.orders rename column total to sum');
  const failed = await run('run', 'copy-orders');
  expect(failed.code).toBe(1);
  expect(failed.stderr).toMatch(/code SCHEMA_DRIFT · docs\/errors\.md#schema_drift/);
  const shown = await run('runs', 'show');
  expect(shown.stdout).toMatch(/attempt 1 .* failed .*SCHEMA_DRIFT/);
  await shop.sql('alter table public.orders rename column sum to total');
  const [
    {
      runs: [last],
    } = { runs: [] },
  ] = (await run('runs', 'list', '--json')).json<{ runs: { id: string }[] }>();
  const retried = await run('runs', 'retry', String(last?.id), '--json');
  expect(retried.code).toBe(0);
  expect(retried.json<Result>().at(-1)).toMatchObject({
    type: 'result',
    run: last?.id,
    state: { at: 'succeeded' },
    stages: [{ attempts: [{ result: 'failed' }, { result: 'succeeded' }] }],
  });
});

test('Ctrl-C leaves a run that can be gone on with, and says how', async () => {
  await slowly(0.05);
  const interrupted = start('run', 'copy-orders');
  await interrupted.said('running in the');
  // A terminal sends it to the whole process group.
  process.kill(-(interrupted.process.pid as number), 'SIGINT');
  const { code, stderr } = await interrupted.ended;
  expect(stderr).toContain('Go on with it: millrace run copy-orders');
  expect(code).toBe(130);
  await quickly();
  const id = /Run (\S+) is unfinished/.exec(stderr)?.[1];
  const resumed = await run('run', 'copy-orders');
  expect(resumed).toMatchObject({ code: 0, stderr: expect.stringContaining(`Going on with run ${id}`) });
  expect(await warehouse.sql('select count(*)::int as rows from public.orders')).toEqual([{ rows: 1000 }]);
});

test('Ctrl-C that comes before the run has begun leaves one as well', async () => {
  project.write({
    'pipelines/copy-orders.ts': `${copyOrders}\nif (!process.env.MILLRACE_TOLD_TO_GO_ON) process.kill(process.pid, 'SIGINT');\n`,
  });
  const { code, stderr } = await run('run', 'copy-orders');
  expect({ code, stderr }).toEqual({ code: 130, stderr: expect.stringContaining('Go on with it: millrace run copy-orders') });
  const resumed = await millrace(['run', 'copy-orders'], { ...options(), env: { ...options().env, MILLRACE_TOLD_TO_GO_ON: 'yes' } });
  expect(resumed).toMatchObject({ code: 0, stderr: expect.stringContaining('Going on with run') });
});

test('SIGTERM ends with 143; --new gives the unfinished run up', async () => {
  await slowly(0.05);
  const terminated = start('run', 'copy-orders', '--json');
  await terminated.said('"type":"stage.started"');
  terminated.process.kill('SIGTERM');
  const { code, json } = await terminated.ended;
  expect(code).toBe(143);
  const [first] = json<Result>();
  await quickly();
  const anew = await run('run', 'copy-orders', '--new', '--json');
  expect(anew.code).toBe(0);
  expect(anew.json<Result>()[0]?.run).not.toBe(first?.run);
  expect((await run('runs', 'show', String(first?.run), '--json')).json<Result>()[0]?.state.at).toBe('cancelled');
});

test('a process that is killed in the middle costs its work, and nothing else', async () => {
  await slowly(0.05);
  const killed = start('run', 'copy-orders', '--json');
  await killed.said('"type":"stage.started"');
  process.kill(-(killed.process.pid as number), 'SIGKILL');
  const { signal, json } = await killed.ended;
  expect(signal).toBe('SIGKILL');
  await quickly();
  const resumed = await run('run', 'copy-orders', '--json');
  expect(resumed.code).toBe(0);
  expect(resumed.json<Result>()[0]).toMatchObject({ run: json<Result>()[0]?.run, continued: true });
});

test('a run that another process works on can be watched and cancelled, and not be taken', async () => {
  await slowly(0.05);
  const working = start('run', 'copy-orders', '--json');
  await working.said('"type":"stage.started"');
  const id = String((JSON.parse((await run('runs', 'list', '--json')).stdout) as { runs: { id: string }[] }).runs[0]?.id);
  expect(await run('runs', 'retry', id)).toMatchObject({ code: 75 });
  const watching = start('runs', 'watch', id, '--json');
  await watching.said('"type":"run"');
  expect(await run('runs', 'cancel', id)).toMatchObject({ code: 0 });
  expect(await working.ended).toMatchObject({ code: 1 });
  expect(await watching.ended).toMatchObject({ code: 1 });
});

test('a stage that takes too long is a timeout: 124', async () => {
  await slowly(0.05);
  project.write({
    'pipelines/copy-orders.ts': copyOrders.replace("schema: 'create' })", "schema: 'create' }), { timeout: '1s', retry: { attempts: 1 } }"),
  });
  expect(await run('run', 'copy-orders')).toMatchObject({ code: 124, stderr: expect.stringContaining('STAGE_TIMEOUT') });
});

test('one load that fails and may: the rest is done, and the exit code is 4', async () => {
  project.write({
    'pipelines/copy-orders.ts': copyOrders
      .replace(
        'export default',
        "const other = load(extract(shop, table), postgres({ url: secret('WAREHOUSE_URL') }).table(table, { mode: 'history' }), { onFailure: 'continue' });\n\nexport default",
      )
      .replace('load(extract(shop, table)', 'load(orders')
      .replace('{ orders, copied }', '{ orders, copied, other }'),
  });
  const partial = await run('run', 'copy-orders');
  expect(partial).toMatchObject({ code: 4, stderr: expect.stringContaining('Partly succeeded.') });
  expect(partial.stdout).toMatch(/^copied +succeeded/m);
});

test('a project whose own folder cannot be made says so, whatever is asked', async () => {
  project.write({ '.millrace': 'a file' });
  for (const verb of ['run', 'verify'])
    expect(await run(verb, 'copy-orders')).toMatchObject({ code: 2, stderr: expect.stringMatching(/\.millrace.*CONFIG_INVALID/s) });
});

test('a state database that is away is 69, and its password is in no message', async () => {
  const away = await millrace(['runs', 'list'], {
    ...options(),
    env: { ...options().env, MILLRACE_STATE_URL: 'postgres://user:hunter22@127.0.0.1:1/db' },
  });
  expect(away).toMatchObject({ code: 69, stderr: expect.stringContaining('STATE_UNAVAILABLE') });
  expect(away.stderr).not.toContain('hunter22');
});
