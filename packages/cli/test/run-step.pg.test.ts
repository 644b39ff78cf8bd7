import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type AwsFake, AwsFault, awsFake } from '../../../test/aws-fake.ts';
import { type TestDatabase, testDatabase } from '../../../test/postgres.ts';
import { type CommandResult, millrace, type RunningCommand, startMillrace } from './command.ts';
import { type TestProject, testProject } from './project.ts';

const config = `import { defineConfig, secret } from '@millrace/core';
export default defineConfig({
  pipelines: 'pipelines/*.ts',
  environments: { prod: { secrets: ['env'], state: secret('STATE_URL'), fleet: { lease: '3s' } } },
});
`;

const splits = 12;
const rowCount = splits * 64 - 40;
/** Two loads: one takes a while, split by split; a check of the other does not hold. */
const pipeline = `import { existsSync } from 'node:fs';
import { postgres } from '@millrace/connectors/postgres';
import { extract, int8, load, pipeline, secret, table, text } from '@millrace/core';
import { check, map, rowCount } from '@millrace/transforms';

const wide = table('public.wide', { id: int8(), filler: text() }, { key: ['id'] });
const numbers = table('public.numbers', { id: int8(), size: int8() }, { key: ['id'] });
const few = table('public.few', { id: int8(), filler: text() }, { key: ['id'] });
const warehouse = postgres({ url: secret('WAREHOUSE_URL') });
const wait = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
const rows = extract(postgres({ url: secret('SHOP_URL') }), wide, { splitBytes: 64 * 1024 });
const measured = map(rows, {
  to: numbers,
  row: ({ id, filler }) => {
    if (id % 64n === 0n) wait(Number(process.env.PAUSE ?? 0));
    while (process.env.GATE && !existsSync(process.env.GATE)) wait(20);
    return { id, size: BigInt(filler.length) };
  },
});
const loaded = load(measured, warehouse.table(numbers, { mode: 'merge', schema: 'create' }));
const checked = check(rows, [rowCount({ max: 10 })]);
const refused = load(checked, warehouse.table(few, { mode: 'merge', schema: 'create' }));

export default pipeline({ name: 'wide', steps: { rows, measured, loaded, checked, refused } });
`;

let shop: TestDatabase;
let warehouse: TestDatabase;
let state: TestDatabase;
let project: TestProject;
let plan: string;
let started: RunningCommand[] = [];
let service: AwsFake;
/** Of the activity, until somebody asks. */
let tasks: { taskToken: string; input: string }[] = [];

beforeAll(async () => {
  [shop, state] = await Promise.all([testDatabase(), testDatabase()]);
  await shop.sql(`create table public.wide (id int8 primary key, filler text not null) with (autovacuum_enabled = off);
    insert into public.wide select n, repeat('x', 920) from generate_series(1, ${rowCount}) n; analyze public.wide`);
  project = testProject({ 'millrace.config.ts': config, 'pipelines/wide.ts': pipeline });
  const env = { SHOP_URL: shop.url, WAREHOUSE_URL: shop.url, STATE_URL: state.url };
  const [described] = (await millrace(['plan', 'wide', '--json'], { cwd: project.root, env })).json<{ plan: { fingerprint: string } }>();
  plan = described?.plan.fingerprint ?? '';
  service = await awsFake({
    SendTaskSuccess: () => ({}),
    SendTaskFailure: () => ({}),
    SendTaskHeartbeat: () => ({}),
    GetActivityTask: async () => {
      const task = tasks.shift();
      if (!task) await new Promise((resolve) => setTimeout(resolve, 200));
      return task ?? {};
    },
  });
});
afterAll(async () => {
  await service[Symbol.asyncDispose]();
  project[Symbol.dispose]();
  await shop[Symbol.asyncDispose]();
  await state[Symbol.asyncDispose]();
});
beforeEach(async () => {
  warehouse = await testDatabase();
});
afterEach(async () => {
  for (const { process: child, ended } of started) {
    if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid as number), 'SIGKILL');
    await ended;
  }
  started = [];
  await warehouse[Symbol.asyncDispose]();
});

type Env = Readonly<Record<string, string | undefined>>;

const input = { time: '2026-03-29T00:00:00Z', date: null, window: null, params: {} };
const environment = (more: Env): Env => ({
  SHOP_URL: shop.url,
  WAREHOUSE_URL: warehouse.url,
  STATE_URL: state.url,
  AWS_REGION: 'eu-west-1',
  AWS_ACCESS_KEY_ID: 'test',
  AWS_SECRET_ACCESS_KEY: 'test',
  AWS_ENDPOINT_URL_SFN: service.settings.endpoint,
  MILLRACE_PLAN: plan,
  MILLRACE_INPUT: JSON.stringify(input),
  ...more,
});
function start(args: readonly string[], env: Env): RunningCommand {
  const command = startMillrace(args, { cwd: project.root, env: environment(env) });
  started.push(command);
  return command;
}
const task = (stage: string, env: Env): RunningCommand => start(['run-step', 'wide', '--stage', stage], env);
const outcome = ({ code, signal, stderr }: CommandResult) => ({ code: code ?? signal, stderr });
const loads = async () => {
  const [found] = await warehouse.sql(`select count(*)::int as rows, sum(size)::int as size,
    (select count(*) from _millrace.applied)::int as loads, (select count(*) from _millrace.staged)::int as staged from public.numbers`);
  return found;
};
const whole = { rows: rowCount, size: rowCount * 920, loads: 1, staged: 0 };
const stagedSplits = (run: string) => state.sql(`select split from millrace.part where run = '${run}'`).catch(() => []);
const attempts = async (run: string) =>
  (await state.sql<{ result: string }>(`select result from millrace.attempt where run = '${run}' order by epoch`)).map(
    ({ result }) => result,
  );

test('the exit code says what became of the stage', async () => {
  const ends = await Promise.all(
    [
      task('loaded', { MILLRACE_RUN: 'codes' }),
      task('refused', { MILLRACE_RUN: 'codes' }),
      task('loaded', { MILLRACE_RUN: 'other plan', MILLRACE_PLAN: 'f'.repeat(64) }),
      task('loaded', { MILLRACE_RUN: undefined, MILLRACE_INPUT: 'x' }),
      start(['run-step', 'wide', '--stage', 'loaded'], { MILLRACE_RUN: 'no state', STATE_URL: '' }),
    ].map(({ ended }) => ended),
  );
  expect(ends.map(outcome)).toEqual([
    { code: 0, stderr: expect.stringContaining('Done.') },
    { code: 5, stderr: expect.stringMatching(/row count[\s\S]*CHECK_FAILED/) },
    { code: 2, stderr: expect.stringContaining('PLAN_CHANGED') },
    { code: 2, stderr: expect.stringMatching(/MILLRACE_INPUT is not JSON; MILLRACE_RUN is missing/) },
    { code: 2, stderr: expect.stringContaining('STATE_URL') },
  ]);
  expect(await loads()).toEqual(whole);
  expect(await state.sql(`select id, at, queue from millrace.run order by id`)).toEqual([
    { id: 'codes', at: 'failed', queue: 'step-functions' },
  ]);
});

test('a task that is stopped, and one whose machine dies, cost time only', async () => {
  const env = { MILLRACE_RUN: 'dies', PAUSE: '300' };
  const stopped = task('loaded', env);
  await expect.poll(async () => (await stagedSplits('dies')).length, { timeout: 60_000 }).toBeGreaterThan(0);
  stopped.process.kill('SIGTERM');
  expect(outcome(await stopped.ended)).toEqual({ code: 143, stderr: expect.stringContaining('given back') });
  const before = (await stagedSplits('dies')).length;

  const killed = task('loaded', env);
  await expect.poll(async () => (await stagedSplits('dies')).length, { timeout: 60_000 }).toBeGreaterThan(before);
  process.kill(-(killed.process.pid as number), 'SIGKILL');
  expect((await killed.ended).signal).toBe('SIGKILL');

  const [again, twin] = await Promise.all([task('loaded', env).ended, task('loaded', env).ended]);
  expect([again.code, twin.code]).toEqual([0, 0]);
  expect(await loads()).toEqual(whole);
  expect(await attempts('dies')).toEqual(['released', 'lost', 'succeeded']);
});

test('tasks in other places share the splits of an attempt, whoever comes first, and make none', async () => {
  const GATE = join(project.root, 'open');
  const [help, late] = [1, 2].map((place) => task('loaded', { MILLRACE_RUN: 'places', MILLRACE_PLACE: `${place}`, GATE }));
  await help?.said('to help');
  const lead = task('loaded', { MILLRACE_RUN: 'places', MILLRACE_PLACE: '0', GATE });
  const holders = async () =>
    (await state.sql(`select distinct share from millrace.split where share is not null and run = 'places'`)).length;
  await expect.poll(holders, { timeout: 60_000 }).toBe(3);
  writeFileSync(GATE, '');
  expect((await Promise.all([lead, help, late].map((one) => one?.ended))).map((end) => end?.code)).toEqual([0, 0, 0]);
  expect(await loads()).toEqual(whole);
  expect(await attempts('places')).toEqual(['succeeded']);
});

test('with a token a task reports itself: its success, its error by the code, and nothing where nobody waits for it any more', async () => {
  const secret = 'AQCtoken-of-the-task';
  const env = { MILLRACE_RUN: 'token', MILLRACE_TASK_TOKEN: secret };
  const [good, bad, wrong] = await Promise.all([
    task('loaded', env).ended,
    task('refused', { ...env, MILLRACE_RUN: 'token 2' }).ended,
    task('loaded', { ...env, MILLRACE_RUN: 'token 3', MILLRACE_PLAN: 'f'.repeat(64) }).ended,
  ]);
  expect([good, bad, wrong].map(({ code }) => code)).toEqual([0, 0, 0]);
  expect(`${good.stderr}${bad.stdout}${bad.stderr}`).not.toContain(secret);
  expect(service.called('SendTaskSuccess')).toEqual([{ taskToken: secret, output: '{}' }]);
  const failures = service.called('SendTaskFailure').sort((a, b) => a.error.localeCompare(b.error));
  expect(failures).toMatchObject([
    { taskToken: secret, error: 'CHECK_FAILED', cause: expect.stringMatching(/row count.*\nMend/) },
    { taskToken: secret, error: 'PLAN_CHANGED', cause: expect.stringContaining('Deploy machine and image together') },
  ]);
  expect(service.called('SendTaskHeartbeat').length).toBeGreaterThanOrEqual(3);

  service.fail('SendTaskHeartbeat', new AwsFault('TaskTimedOut'));
  const unwanted = await task('loaded', { ...env, MILLRACE_RUN: 'token 4', PAUSE: '10000' }).ended;
  expect(outcome(unwanted)).toEqual({ code: 0, stderr: expect.stringContaining('does not wait') });
  expect(service.called('SendTaskSuccess').length + service.called('SendTaskFailure').length).toBe(3);
  const [stage] = await state.sql(`select at, attempts from millrace.stage where run = 'token 4' and id = 'loaded'`);
  expect(stage === undefined || (stage['at'] !== 'running' && stage['attempts'] === 0)).toBe(true);
});

const request = (run: string, stage: string) => ({
  command: 'run-step',
  pipeline: 'wide',
  plan,
  stage,
  run,
  input,
  attempt: 0,
  redriveCount: 0,
});

test('workers of an activity take what it has for them, and give back what runs when they are asked to end', async () => {
  const activity = 'arn:aws:states:eu-west-1:123456789012:activity:millrace-wide';
  const before = service.calls.length;
  const told = () =>
    service.calls.slice(before).flatMap(({ operation, input: { taskToken, error = 'succeeded' } }) => {
      return operation === 'SendTaskSuccess' || operation === 'SendTaskFailure' ? [`${taskToken} ${error}`] : [];
    });
  tasks = [
    { taskToken: 'one', input: JSON.stringify(request('activity', 'loaded')) },
    { taskToken: 'two', input: JSON.stringify(request('activity 2', 'refused')) },
    { taskToken: 'three', input: 'what is this?' },
  ];
  const slow = start(['run-step', '--activity', activity, '--concurrency', '2'], { PAUSE: '500' });
  await expect
    .poll(async () => [(await stagedSplits('activity')).length > 0, told().sort()], { timeout: 60_000 })
    .toEqual([true, ['three CONFIG_INVALID', 'two CHECK_FAILED']]);
  slow.process.kill('SIGTERM');
  expect(outcome(await slow.ended)).toMatchObject({ code: 143 });
  expect(told()).toContain('one SHUTDOWN');

  tasks = [{ taskToken: 'one again', input: JSON.stringify(request('activity', 'loaded')) }];
  start(['run-step', '--activity', activity], {});
  await expect.poll(told, { timeout: 60_000 }).toContain('one again succeeded');
  expect(await loads()).toEqual(whole);
  expect(await attempts('activity')).toEqual(['released', 'succeeded']);
  const refused = start(['run-step', '--activity', 'nightly'], {});
  expect(outcome(await refused.ended)).toMatchObject({ code: 2, stderr: expect.stringContaining('no ARN of an activity') });
});

test('a function runs a stage, names its error, and stops before its time is over', async () => {
  writeFileSync(
    join(project.root, 'invoke.mjs'),
    `import { handler } from '@millrace/cli/lambda';
     const [event, ms] = JSON.parse(process.argv[2]);
     const end = Date.now() + ms;
     console.log('answer ' + JSON.stringify(await handler(event, { getRemainingTimeInMillis: () => end - Date.now() }).then(
       (answer) => ({ answer }), ({ name, message }) => ({ name, message }))));
     process.exit();`,
  );
  const invoke = async (event: object, ms: number, env: Env = {}) => {
    const { spawn } = await import('node:child_process');
    const child = spawn(process.execPath, ['--no-warnings', 'invoke.mjs', JSON.stringify([event, ms])], {
      cwd: project.root,
      env: { ...process.env, NODE_OPTIONS: '--conditions=millrace-bundled', ...environment(env) } as NodeJS.ProcessEnv,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let out = '';
    for await (const text of child.stdout) out += text;
    return JSON.parse(/^answer (.*)$/m.exec(out)?.[1] ?? 'null');
  };
  const [good, bad, late] = await Promise.all([
    invoke(request('lambda', 'loaded'), 120_000),
    invoke(request('lambda 2', 'refused'), 120_000),
    invoke(request('lambda 3', 'loaded'), 18_000, { PAUSE: '5000' }),
  ]);
  expect(good).toEqual({ answer: {} });
  expect(bad).toMatchObject({ name: 'CHECK_FAILED', message: expect.stringContaining('row count') });
  expect(late).toMatchObject({ name: 'SHUTDOWN' });
  expect(await loads()).toMatchObject({ rows: rowCount });
});
