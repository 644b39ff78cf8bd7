import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../test/postgres.ts';
import { millrace } from './command.ts';
import { config, copyOrders, ordersSql, ordersTable, type TestProject, testProject } from './project.ts';

// A test starts several processes one after the other, on machines that are busy.
vi.setConfig({ testTimeout: 120_000 });

let shop: TestDatabase;
let project: TestProject;
const run = (...args: string[]) =>
  millrace(args, { cwd: project.root, env: { SHOP_URL: shop.url, WAREHOUSE_URL: shop.url, MILLRACE_STATE_URL: shop.url } });

beforeAll(async () => {
  shop = await testDatabase();
  await shop.sql(ordersSql);
  project = testProject({ 'millrace.config.ts': config, 'pipelines/copy-orders.ts': copyOrders, 'tables/shop.ts': ordersTable });
});
afterAll(async () => {
  project[Symbol.dispose]();
  await shop[Symbol.asyncDispose]();
});

test('plan shows stages, lanes and DDL on stdout, and nothing else', async () => {
  const { code, stdout, stderr } = await run('plan', 'copy-orders');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain('copied  bytes lane');
  expect(stdout).not.toContain(shop.url);
});

test('plan without a pipeline lists those there are, and exits with 2 where one does not load', async () => {
  project.write({ 'pipelines/broken.ts': 'throw new Error("half written");' });
  const listed = await run('plan', '--json');
  expect(listed.code).toBe(2);
  expect(listed.json()[0]).toMatchObject({
    schemaVersion: 1,
    pipelines: [
      { file: 'pipelines/broken.ts', name: null, error: { code: 'PIPELINE_INVALID' } },
      { file: 'pipelines/copy-orders.ts', name: 'copy-orders' },
    ],
  });
  project.write({ 'pipelines/broken.ts': "export { default } from './copy-orders.ts';" });
  expect((await run('plan')).stdout).toMatch(/copy-orders +2 steps +pipelines\/copy-orders\.ts/);
});

test('a package that is not installed is told with the file that imports it', async () => {
  project.write({ 'other/lost.ts': "import 'no-such-package';" });
  const { code, stderr } = await run('plan', 'other/lost.ts');
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(/no-such-package.*\/other\/lost\.ts/) });
  expect(stderr).not.toMatch(/pipeline-\d/);
});

test('a pipeline is found by its path and by its name, and drawn', async () => {
  expect((await run('graph', './pipelines/copy-orders.ts')).stdout).toContain('flowchart LR');
  const graph = await run('graph', 'copy-orders', '--format', 'json');
  expect(graph.json()[0]).toMatchObject({ schemaVersion: 1, edges: [{ from: 'orders', to: 'copied', carries: 'data' }] });
});

test('plan --connect asks the source how much there is to read', async () => {
  const { code, stdout, stderr } = await run('plan', 'copy-orders', '--connect');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/copied +everything +1 /);
});

test('introspect writes the declaration of a table, the same each time', async () => {
  const named = await run('introspect', 'SHOP_URL', '--schema', 'public', '--table', 'orders');
  expect({ code: named.code, stderr: named.stderr }).toEqual({ code: 0, stderr: '' });
  expect(named.stdout).toBe(ordersTable);
  expect((await run('introspect', shop.url, '--table', 'orders')).stdout).toBe(ordersTable);
  expect((await run('introspect', 'pipelines/copy-orders.ts:shop', '--table', 'orders')).stdout).toBe(ordersTable);
  const nowhere = await run('introspect', 'pipelines/copy-orders.ts:nothing');
  expect(nowhere.code).toBe(2);
});

test('doctor looks at every connection, and its exit code says what is wrong', async () => {
  const well = await run('doctor', 'copy-orders');
  expect({ code: well.code, problems: well.stdout.match(/^problem.*/gm) }).toEqual({ code: 0, problems: null });
  expect(well.stdout).toContain('secret SHOP_URL');
  const wrong = shop.url.replace(/:[^:@/]+@/, ':wrong-password@');
  const refused = await millrace(['doctor', '--json'], { cwd: project.root, env: { SHOP_URL: wrong, MILLRACE_STATE_URL: shop.url } });
  expect(refused.code).toBe(2);
  const [answer] = refused.json<{ findings: { subject: string; level: string }[] }>();
  expect(answer?.findings).toContainEqual(expect.objectContaining({ subject: 'secret WAREHOUSE_URL', level: 'problem' }));
  expect(refused.stdout + refused.stderr).not.toContain('wrong-password');
});

test('an error is one object with --json, and where it came from with --debug', async () => {
  const missing = await run('run', 'nightly', '--json', '--debug');
  expect(missing.code).toBe(2);
  expect(missing.json()).toEqual([
    expect.objectContaining({ schemaVersion: 1, error: expect.objectContaining({ code: 'PIPELINE_NOT_FOUND' }) }),
  ]);
  expect(missing.stderr).toMatch(/\n\s+at /);
  expect(missing.stderr).toContain('docs/errors.md#pipeline_not_found');
});

test.each([
  [['walk'], "unknown command 'walk'"],
  [['run', 'copy-orders', '--date', 'tomorrow'], 'neither a day nor an instant'],
  [['plan', '--env', 'test'], 'no environment "test"'],
])('%j is a usage error', async (args, message) => {
  const { code, stderr, stdout } = await run(...args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain(message);
});
