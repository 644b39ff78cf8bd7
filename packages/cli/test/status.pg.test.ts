import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../test/postgres.ts';
import { millrace, type RunningCommand, startMillrace } from './command.ts';
import { type TestProject, testProject } from './project.ts';

/* A fleet as its operators see it: one worker, one scheduler, and what is told of them while things go wrong. */

let state: TestDatabase;
let project: TestProject;
let worker: RunningCommand;
let scheduler: RunningCommand;
let alerts: Server;
let spoken = '';
const told: { kind: string; pipeline: string; text: string }[] = [];
const patient = { timeout: 60_000, interval: 250 };
const password = 'hidden-word-of-redis';
const env = () => ({
  STATE_URL: state.url,
  HOOK_URL: `http://127.0.0.1:${(alerts.address() as AddressInfo).port}/`,
  REDIS_URL: `redis://:${password}@127.0.0.1:1`,
});
const run = (...args: string[]) => millrace([...args, '--env', 'prod'], { cwd: project.root, env: env() });

const held = `import { postgres } from '@millrace/connectors/postgres';
import { daily, pipeline, secret } from '@millrace/core';
import { sql } from '@millrace/transforms';
const state = postgres({ url: secret('STATE_URL') });
const waited = sql(state, ['do $$ begin while not exists (select from public.go) loop perform pg_sleep(0.05); end loop; end $$'], { pool: 'reprting' });
export default pipeline({ name: 'nightly', runs: daily('02:00', 'UTC', { within: '1s' }), steps: { waited } });
`;

beforeAll(async () => {
  state = await testDatabase();
  await state.sql('create table public.go (since timestamptz)');
  alerts = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      told.push(JSON.parse(body));
      response.end();
    });
  });
  await new Promise<void>((resolve) => alerts.listen(0, '127.0.0.1', resolve));
  project = testProject({
    'millrace.config.ts': `import { defineConfig, secret } from '@millrace/core';
const prod = { secrets: ['env'], state: secret('STATE_URL'), executor: 'fleet', fleet: { name: 'shop' }, pools: { reporting: 2 } } as const;
export default defineConfig({ pipelines: 'pipelines/*.ts', environments: {
  prod: { ...prod, alerts: { oncall: { webhook: secret('HOOK_URL'), on: ['late'] } } },
  redis: { ...prod, fleet: { name: 'shop', dispatch: { redis: secret('REDIS_URL') } } },
} });
`,
    'pipelines/nightly.ts': held,
  });
  const start = (...args: string[]) =>
    startMillrace([...args, '--env', 'prod', '--json', '--http', '0'], { cwd: project.root, env: env() });
  worker = start('worker');
  scheduler = start('scheduler');
  scheduler.process.stdout?.on('data', (text: string) => {
    spoken += text;
  });
  await Promise.all([worker.said('"type":"working"'), scheduler.said('"type":"scheduling"')]);
}, 120_000);

afterAll(async () => {
  for (const { process: child, ended } of [worker, scheduler]) {
    if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid as number), 'SIGKILL');
    await ended;
  }
  alerts.close();
  project[Symbol.dispose]();
  await state[Symbol.asyncDispose]();
});

interface Status {
  fleet: { queues: object[]; workers: object[]; running: object[] };
  schedules: object[];
  dispatch: { by: string; error: { code: string; message: string } | null };
  streams: object[];
}
const status = async (...args: string[]) =>
  (await millrace(['status', '--env', 'prod', '--json', ...args], { cwd: project.root, env: env() })).json<Status>()[0] as Status;
const line = (text: string, type: string): Record<string, string> =>
  JSON.parse(text.split('\n').find((one) => one.includes(type)) ?? '{}') as Record<string, string>;

test('a pool that the environment does not have is told wherever the pipeline is looked at', async () => {
  const warning = '"waited" names the pool "reprting", which the environment does not have: nothing limits it.';
  expect((await run('plan', 'nightly')).stderr).toContain(warning);
  const planned = (await run('plan', 'nightly', '--json')).json<{ warnings: { message: string }[] }>();
  expect(planned[0]?.warnings).toMatchObject([{ message: warning, remedy: expect.stringContaining('reporting') }]);
  await worker.said(JSON.stringify(warning).slice(1, -1));
  await scheduler.said(JSON.stringify(warning).slice(1, -1));
});

test('a scheduler serves probes and metrics, and logs what it is', async () => {
  await scheduler.said('"msg":"scheduler started"');
  const { endpoints = '' } = line(spoken, '"type":"scheduling"');
  expect(await (await fetch(`${endpoints}/health`)).text()).toBe('ok\n');
  expect(await (await fetch(`${endpoints}/ready`)).text()).toBe('ok\n');
  const metrics = await (await fetch(`${endpoints}/metrics`)).text();
  expect(metrics).toMatch(/^millrace_info\{role="scheduler",.*queue="fleet:shop"\} 1$/m);
  expect(metrics).toMatch(/^millrace_workers\{queue="fleet:shop"\} 1$/m);
});

test('status shows who works, on what, under which lease, and what comes next', async () => {
  expect(await run('schedule', 'trigger', 'nightly')).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d{8}T/) });
  await expect.poll(async () => (await status()).fleet.running, patient).toHaveLength(1);
  const found = await status();
  expect(found).toMatchObject({
    fleet: {
      queues: [{ queue: 'fleet:shop', ready: 0, running: 1, workers: 1 }],
      workers: [{ queue: 'fleet:shop', gone: false, running: 1, pipelines: [{ pipeline: 'nightly' }] }],
      running: [{ pipeline: 'nightly', stage: 'waited', attempt: 1, workerGone: false, leaseUntil: expect.any(String) }],
    },
    schedules: [{ pipeline: 'nightly', served: true, lateMs: null, nextAt: expect.stringContaining('T02:00:00') }],
    dispatch: { by: 'notify', error: null },
    streams: [],
  });
  const { stdout } = await run('status');
  expect(stdout).toMatch(/^fleet:shop {2}1 worker, 0 ready, 1 running$/m);
  expect(stdout).toMatch(/^\S+-\d+-[0-9a-f]{8} +fleet:shop +alive +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +1 +nightly [0-9a-f]{8}$/m);
  expect(stdout).toMatch(/^nightly +waited +\d{8}T\S+ +\S+ +1 +[\d.]+ (s|min \d\d s) +[\d.]+ s left$/m);
  expect(stdout).toMatch(/^nightly +at 0 2 \* \* \* UTC within 1s +active +\d{4}-\d\d-\d\d 02:00:00/m);
  // The columns of a table stand under their titles.
  const [head = '', row = ''] = stdout.split('\n').filter((one) => /^(worker|\S+-\d+-[0-9a-f]{8}) /.test(one));
  expect(row.indexOf('alive')).toBe(head.indexOf('state'));
});

test('a queue that is away is told, without its password', async () => {
  const away = await millrace(['status', '--env', 'redis'], { cwd: project.root, env: env() });
  expect(away).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/wake-ups go by Redis, which cannot be used from here: .*127\.0\.0\.1:1/),
  });
  expect(`${away.stdout}${away.stderr}`).not.toContain(password);
});

test('a worker that has died is shown as gone; a time that nobody meets is late, and told by whoever is left', async () => {
  process.kill(-(scheduler.process.pid as number), 'SIGKILL');
  await scheduler.ended;
  // Who has looked for a moment only tells nothing of what was before: here he has looked for a minute.
  await expect
    .poll(() => state.sql(`update millrace.look set since = since - interval '1 minute' returning name`), patient)
    .toHaveLength(1);
  await state.sql(
    `update millrace.schedule set next_at = clock_timestamp() - interval '10 seconds', served_at = clock_timestamp() - interval '2 minutes'`,
  );
  await expect
    .poll(() => told, patient)
    .toMatchObject([{ kind: 'late', pipeline: 'nightly', text: expect.stringContaining('No run was made for it.') }]);
  expect((await status()).schedules).toMatchObject([{ served: false, lateMs: expect.any(Number) }]);
  expect((await run('schedule', 'list')).stdout).toMatch(/active, no scheduler +\S+ \S+, late by/);

  process.kill(-(worker.process.pid as number), 'SIGKILL');
  await worker.ended;
  await expect.poll(async () => (await status()).fleet.workers, patient).toMatchObject([{ gone: true }]);
  const { stdout } = await run('status', 'nightly');
  expect(stdout).toMatch(/^fleet:shop {2}no worker, 0 ready, 1 running$/m);
  expect(stdout).toMatch(/fleet:shop +gone, last heard of [\d.]+ s ago/);
  expect(stdout).toContain('worker gone');
});

test('a schedule whose pipeline is gone is forgotten', async () => {
  expect(await run('schedule', 'forget', 'nightly')).toMatchObject({ code: 0, stdout: 'nightly: its schedule is forgotten\n' });
  expect((await status()).schedules).toEqual([]);
  expect(await run('schedule', 'forget', 'nightly')).toMatchObject({ code: 2 });
});
