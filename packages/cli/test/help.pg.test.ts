import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../test/postgres.ts';
import { millrace, type RunningCommand, startMillrace } from './command.ts';
import { type TestProject, testProject } from './project.ts';

const config = `import { defineConfig, secret } from '@millrace/core';
export default defineConfig({
  pipelines: 'pipelines/*.ts',
  environments: { prod: { secrets: ['env'], state: secret('STATE_URL'), executor: 'fleet', concurrency: 1, fleet: { lease: '3s' } } },
});
`;

/** 64 splits, each of which takes a while wherever it is. */
const splits = 64;
/** The last split has fewer. */
const rowCount = splits * 64 - 40;
const pipelineOf = (ms: number) => `import { existsSync } from 'node:fs';
import { postgres } from '@millrace/connectors/postgres';
import { extract, int8, load, pipeline, secret, table, text } from '@millrace/core';
import { map } from '@millrace/transforms';

const wide = table('public.wide', { id: int8(), filler: text() }, { key: ['id'] });
const numbers = table('public.numbers', { id: int8(), size: int8() }, { key: ['id'] });
const shop = postgres({ url: secret('SHOP_URL'), maxConnections: 20 });
const rows = extract(shop, wide, { splitBytes: 64 * 1024 });
const measured = map(rows, {
  to: numbers,
  row: ({ id, filler }) => {
    if (id % 64n === 0n) do Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${ms}); while (existsSync('closed'));
    return { id, size: BigInt(filler.length) };
  },
});
const loaded = load(measured, postgres({ url: secret('WAREHOUSE_URL') }).table(numbers, { mode: 'merge', schema: 'create' }));

export default pipeline({ name: 'wide', retry: { attempts: 1 }, steps: { rows, measured, loaded } });
`;

let shop: TestDatabase;
let warehouse: TestDatabase;
let state: TestDatabase;
let project: TestProject;
let workers: RunningCommand[];
const options = (env: Record<string, string> = {}) => ({
  cwd: project.root,
  env: { SHOP_URL: shop.url, WAREHOUSE_URL: warehouse.url, STATE_URL: state.url, ...env },
});

beforeAll(async () => {
  shop = await testDatabase();
  // Rows of an eighth of a block, so that blocks of the table are as many as a split has, 64 times.
  await shop.sql(`create table public.wide (id int8 primary key, filler text not null) with (autovacuum_enabled = off);
    insert into public.wide select n, repeat('x', 920) from generate_series(1, ${rowCount}) n; analyze public.wide`);
});
afterAll(() => shop[Symbol.asyncDispose]());
beforeEach(async () => {
  workers = [];
  [state, warehouse] = await Promise.all([testDatabase(), testDatabase()]);
  project = testProject({ 'millrace.config.ts': config, 'pipelines/wide.ts': pipelineOf(150) });
});
afterEach(async () => {
  for (const { process: child, ended } of workers) {
    if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid as number), 'SIGKILL');
    await ended;
  }
  project[Symbol.dispose]();
  await state[Symbol.asyncDispose]();
  await warehouse[Symbol.asyncDispose]();
});

async function startWorker(env: Record<string, string> = {}): Promise<RunningCommand> {
  const worker = startMillrace(['worker', '--json'], options(env));
  workers.push(worker);
  await worker.said('"type":"working"');
  return worker;
}

const run = (...args: string[]) => millrace(args, options());
const inWarehouse = async () =>
  (
    await warehouse.sql(`select (select count(*) from public.numbers)::int as rows, (select count(distinct id) from public.numbers)::int as ids,
      (select sum(size) from public.numbers)::int as size, (select count(*) from _millrace.applied)::int as loads,
      (select count(*) from _millrace.staged)::int as staged`)
  )[0];
const whole = { rows: rowCount, ids: rowCount, size: rowCount * 920, loads: 1, staged: 0 };
/** Who has staged how many of the splits of the last attempt: '0' is the attempt itself. */
const stagedBy = async () =>
  state.sql<{ share: string; splits: number }>(
    'select share::text, count(*)::int as splits from millrace.split where staged group by share order by share',
  );

interface Shown {
  stages: { state: { output?: { splits: number } }; attempts: { result: string }[] }[];
}
const shown = async (): Promise<Shown['stages'][number]> => {
  const [all] = (await run('runs', 'show', '--json')).json<Shown>();
  return all?.stages[0] as Shown['stages'][number];
};

test('the splits of a stage run on three workers, and are committed once', async () => {
  await Promise.all([startWorker(), startWorker(), startWorker()]);
  // None is done before each of them has one, however long a process takes to begin here.
  const closed = join(project.root, 'closed');
  writeFileSync(closed, '');
  const running = run('run', 'wide');
  await expect
    .poll(() => state.sql('select distinct share from millrace.split where share is not null'), { timeout: 60_000 })
    .toHaveLength(3);
  rmSync(closed);
  expect(await running).toMatchObject({ code: 0, stderr: expect.stringContaining('Succeeded.') });
  expect(await inWarehouse()).toEqual(whole);
  const by = await stagedBy();
  expect(by.reduce((sum, one) => sum + one.splits, 0)).toBe(splits);
  expect(by).toHaveLength(3);
  expect(Math.min(...by.map((one) => one.splits))).toBeGreaterThan(5);
  expect(await shown()).toMatchObject({ state: { output: { splits } }, attempts: [{ result: 'succeeded' }] });
  expect(await state.sql('select * from millrace.share')).toEqual([]);
});

test('who helps and dies costs its splits, who helps and sleeps too long changes nothing, and the attempt does what is left', async () => {
  const attempt = await startWorker();
  const running = startMillrace(['run', 'wide', '--json'], options());
  await running.said('"phase":"moving"');
  const [killed, sleeper] = await Promise.all([startWorker(), startWorker()]);
  await expect.poll(async () => (await stagedBy()).length, { timeout: 60_000 }).toBe(3);
  process.kill(-(sleeper?.process.pid as number), 'SIGSTOP');
  process.kill(-(killed?.process.pid as number), 'SIGKILL');
  expect(await running.ended).toMatchObject({ code: 0 });
  expect(await inWarehouse()).toMatchObject({ ...whole, staged: expect.any(Number) });
  expect(await shown()).toMatchObject({ attempts: [{ result: 'succeeded' }] });

  process.kill(-(sleeper?.process.pid as number), 'SIGCONT');
  await expect
    .poll(() => state.sql(`select * from millrace.share where worker like '%-${sleeper?.process.pid}-%'`), { timeout: 60_000 })
    .toEqual([]);
  expect(await inWarehouse()).toMatchObject({ ...whole, staged: expect.any(Number) });
  for (const one of [attempt, sleeper]) {
    process.kill(one?.process.pid as number, 'SIGTERM');
    expect(await one?.ended).toMatchObject({ code: 143 });
  }
});

test('with the attempt its help ends, and the next one begins anew', async () => {
  const first = await startWorker();
  const running = startMillrace(['run', 'wide', '--json'], options());
  await running.said('"phase":"moving"');
  await startWorker();
  await expect.poll(async () => (await stagedBy()).length, { timeout: 60_000 }).toBe(2);
  process.kill(-(first.process.pid as number), 'SIGKILL');
  expect(await running.ended).toMatchObject({ code: 0 });
  expect(await inWarehouse()).toEqual(whole);
  expect((await shown()).attempts.map(({ result }) => result)).toEqual(['lost', 'succeeded']);
});

test('an attempt that dies when it has offered its splits costs time only', async () => {
  const first = await startWorker({ MILLRACE_FAILPOINT: 'engine.splits.offered' });
  const running = startMillrace(['run', 'wide', '--json'], options());
  expect(await first.ended).toMatchObject({ signal: 'SIGKILL' });
  await startWorker();
  expect(await running.ended).toMatchObject({ code: 0 });
  expect(await inWarehouse()).toEqual(whole);
});

test.for(['worker.stage.joined', 'engine.split.staged', 'engine.part.stored'])(
  'who helps and dies at %s costs time only',
  async (point) => {
    await startWorker();
    const running = startMillrace(['run', 'wide', '--json'], options());
    await running.said('"phase":"moving"');
    const helper = await startWorker({ MILLRACE_FAILPOINT: point });
    expect(await helper.ended).toMatchObject({ signal: 'SIGKILL' });
    expect(await running.ended).toMatchObject({ code: 0 });
    expect(await inWarehouse()).toEqual(whole);
  },
);
