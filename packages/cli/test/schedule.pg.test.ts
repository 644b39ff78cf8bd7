import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../test/postgres.ts';
import { millrace, type RunningCommand, startMillrace } from './command.ts';
import { type TestProject, testProject } from './project.ts';

let project: TestProject;
let state: TestDatabase;
let running: RunningCommand | undefined;
let said = '';
const token = 'a-token-for-the-tests';
const patient = { timeout: 60_000, interval: 250 };

const pipelineOf = (name: string, runs: string, more = '') => `import { postgres } from '@millrace/connectors/postgres';
import { cron, daily, manual, onFiles, onNotify, onSuccess, pipeline, secret } from '@millrace/core';
import { sql } from '@millrace/transforms';
const state = postgres({ url: secret('MILLRACE_STATE_URL') });
const done = sql(state, ['select 1']);
export default pipeline({ name: '${name}', runs: ${runs}, ${more} steps: { done } });
`;

beforeAll(async () => {
  state = await testDatabase();
  project = testProject({
    'millrace.config.ts': `import { defineConfig } from '@millrace/core';
export default defineConfig({ pipelines: 'pipelines/*.ts', environments: { local: { executor: 'fleet' } } });
`,
    'pipelines/nightly.ts': pipelineOf(
      'nightly',
      "daily('02:00', 'Europe/Paris', { catchUp: 'all', overlap: 'allow' })",
      "params: { country: 'fr' },",
    ),
    'pipelines/landed.ts': pipelineOf('landed', "onFiles('file:./landing/*.csv', { quiet: '1s' })", 'params: { file: null },'),
    'pipelines/asked.ts': pipelineOf('asked', "onNotify('orders')", "params: { payload: '' },"),
    'pipelines/after.ts': pipelineOf('after', "onSuccess({ name: 'nightly' })"),
    'landing/old.csv': 'a',
  });
  running = startMillrace(['scheduler', '--listen', '0', '--json'], { cwd: project.root, env });
  running.process.stdout?.on('data', (text: string) => {
    said += text;
  });
  await running.said('"scheduling"');
}, 120_000);

afterAll(async () => {
  running?.process.kill('SIGKILL');
  project[Symbol.dispose]();
  await state[Symbol.asyncDispose]();
});

const env = {
  get MILLRACE_STATE_URL() {
    return state.url;
  },
  MILLRACE_TRIGGER_TOKEN: token,
};
const call = async (...args: string[]) => {
  const result = await millrace([...args, '--json'], { cwd: project.root, env });
  return { ...result, answer: result.json()[0] ?? {} };
};
const runs = async (pipeline: string) =>
  (await call('runs', 'list', '--pipeline', pipeline)).answer['runs'] as { id: string; logicalTime: string }[];

test('what is deployed is listed, with its next time', async () => {
  const { answer } = await call('schedule', 'list');
  expect(answer['schedules']).toMatchObject([
    { pipeline: 'after', schedule: { kind: 'success', of: 'nightly' }, nextAt: null },
    { pipeline: 'asked', schedule: { kind: 'notify' } },
    { pipeline: 'landed', schedule: { kind: 'files', quietMs: 1000 } },
    {
      pipeline: 'nightly',
      schedule: { kind: 'cron', expression: '0 2 * * *' },
      nextAt: expect.stringMatching(/T0[01]:00:00.000Z$/),
      served: true,
      paused: false,
    },
  ]);
  const text = await millrace(['schedule', 'list'], { cwd: project.root, env });
  expect(text.stdout).toMatch(/^nightly +at 0 2 \* \* \* Europe\/Paris catchUp all overlap allow +active +\d{4}-\d\d-\d\d 0[01]:00:00$/m);
});

test('a schedule is paused and resumed; one that is not there is a usage error', async () => {
  expect((await call('schedule', 'pause', 'nightly')).answer['schedule']).toMatchObject({ paused: true });
  expect((await call('schedule', 'resume', 'nightly')).answer['schedule']).toMatchObject({ paused: false });
  const { code, stdout } = await call('schedule', 'pause', 'weekly');
  expect(code).toBe(2);
  expect(stdout).toContain('PIPELINE_NOT_FOUND');
});

test('a run is asked for by hand and by HTTP', async () => {
  const byHand = await call('schedule', 'trigger', 'nightly', '--param', 'country=de', '--date', '2026-03-29');
  expect(byHand).toMatchObject({ code: 0, answer: { state: 'started', run: expect.any(String) } });
  expect((await runs('nightly')).find(({ id }) => id === byHand.answer['run'])?.logicalTime).toBe('2026-03-28T23:00:00.000Z');
  const refused = await call('schedule', 'trigger', 'nightly', '--param', 'city=Paris');
  expect(refused.code).toBe(2);
  expect(refused.stdout).toContain('no parameter \\"city\\"');

  const [, url] = /"url":"([^"]+)"/.exec(said) ?? [];
  const post = (authorization: string) =>
    fetch(`${url}/pipelines/nightly/runs`, {
      method: 'POST',
      headers: { authorization },
      body: JSON.stringify({ params: { country: 'it' }, idempotencyKey: '7' }),
    });
  expect((await post('Bearer no')).status).toBe(401);
  expect((await post(`Bearer ${token}`)).status).toBe(201);
  expect((await post(`Bearer ${token}`)).status).toBe(200);
});

test('a file, a row of the trigger table and a success start runs', async () => {
  await vi.waitFor(async () => {
    await state.sql(`insert into _millrace.trigger (channel, payload) values ('orders', 'hello')`);
  }, patient);
  await vi.waitFor(async () => expect(await runs('asked')).toHaveLength(1), patient);
  await vi.waitFor(
    async () => expect(await state.sql(`select 1 from millrace.tick where pipeline = 'landed' and state = 'missed'`)).toHaveLength(1),
    patient,
  );
  project.write({ 'landing/new.csv': 'b' });
  await vi.waitFor(async () => expect(await runs('landed')).toHaveLength(1), patient);
  const [run] = await state.sql<{ file: string }>(`select request->'params'->>'file' as file from millrace.run where pipeline = 'landed'`);
  expect(run?.file).toMatch(/^file:\/\/.*\/landing\/new\.csv$/);
  // No worker runs here: one run is made a success by hand.
  await state.sql(`update millrace.run set at = 'succeeded', state = json_build_object('at', 'succeeded', 'since', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
    where id = (select min(id) from millrace.run where pipeline = 'nightly')`);
  await vi.waitFor(async () => expect(await runs('after')).toHaveLength(1), patient);
});

test('a backfill is tried, made, shown, cancelled and resumed', async () => {
  const range = ['backfill', 'create', 'nightly', '--range', '2025-01-01..2026-02-05'];
  expect((await call(...range, '--by', 'day', '--dry-run')).answer).toMatchObject({ dryRun: true, count: 400 });
  expect((await call('backfill', 'list')).answer['backfills']).toEqual([]);
  expect((await call(...range, '--param', 'city=x')).code).toBe(2);
  expect((await call('backfill', 'create', 'nightly', '--range', '2026-02-05..2025-01-01')).code).toBe(2);
  const made = await call(...range, '--max-parallel', '3', '--order', 'newest');
  const { id } = made.answer['backfill'] as { id: string };
  await vi.waitFor(
    async () => expect((await call('backfill', 'show', id)).answer['backfill']).toMatchObject({ counts: { running: 3, pending: 397 } }),
    patient,
  );
  expect((await runs('nightly')).map(({ logicalTime }) => logicalTime)).toContain('2026-02-04T01:00:00.000Z');
  const shown = await millrace(['backfill', 'show'], { cwd: project.root, env });
  expect(shown.stdout).toMatch(/^2026-02-04 01:00:00 +running +1 +\S+$/m);
  expect(shown.stderr).toContain('397 other items');
  await call('backfill', 'cancel', id);
  await vi.waitFor(
    async () =>
      expect((await call('backfill', 'show', id)).answer['backfill']).toMatchObject({ state: 'cancelled', counts: { cancelled: 400 } }),
    patient,
  );
  expect((await call('backfill', 'resume', id, '--only-failed')).answer['backfill']).toMatchObject({ counts: { pending: 0 } });
  expect((await call('backfill', 'resume', id)).answer['backfill']).toMatchObject({ state: 'running', counts: { pending: 400 } });
  expect((await call('backfill', 'cancel', id)).code).toBe(0);
  expect((await call('backfill', 'show', 'none')).code).toBe(2);
});

test('SIGTERM ends a scheduler with 143', async () => {
  running?.process.kill('SIGTERM');
  expect(await running?.ended).toMatchObject({ code: 143 });
  const weak = await millrace(['scheduler', '--listen', '0'], {
    cwd: project.root,
    env: { ...env, MILLRACE_STATE_URL: state.url, MILLRACE_TRIGGER_TOKEN: 'short' },
  });
  expect(weak).toMatchObject({ code: 2, stderr: expect.stringContaining('can be guessed') });
});

test('without a fleet the scheduler runs what it makes, and drains', async () => {
  await using own = await testDatabase();
  using alone = testProject({
    'millrace.config.ts': `import { defineConfig } from '@millrace/core';
export default defineConfig({ pipelines: 'pipelines/*.ts', environments: { local: {} } });
`,
    'pipelines/nightly.ts': pipelineOf('nightly', "daily('02:00')"),
    'pipelines/after.ts': pipelineOf('after', "onSuccess({ name: 'nightly' })"),
  });
  const options = { cwd: alone.root, env: { MILLRACE_STATE_URL: own.url } };
  const scheduler = startMillrace(['scheduler', '--json'], options);
  try {
    await scheduler.said('"scheduling"');
    expect((await millrace(['schedule', 'trigger', 'nightly'], options)).code).toBe(0);
    await vi.waitFor(async () => {
      const { runs = [] } =
        (await millrace(['runs', 'list', '--json'], options)).json<{ runs?: { pipeline: string; state: { at: string } }[] }>()[0] ?? {};
      expect(runs.map(({ pipeline, state }) => `${pipeline} ${state.at}`)).toEqual(['after succeeded', 'nightly succeeded']);
    }, patient);
    scheduler.process.kill('SIGTERM');
    expect(await scheduler.ended).toMatchObject({ code: 143 });
  } finally {
    scheduler.process.kill('SIGKILL');
  }
});
