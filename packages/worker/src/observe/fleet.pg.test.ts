import { compile } from '@millrace/core/runtime';
import pg from 'pg';
import { expect, it, vi } from 'vitest';
import { httpServer } from '../../test/http-server.ts';
import { testProject } from '../../test/project.ts';
import { inlineDispatch } from '../dispatch/inline.ts';
import { fleetExecutor } from '../fleet/fleet-executor.ts';
import { startFleetWorker } from '../fleet/fleet-worker.ts';
import { loadPipeline } from '../load/load.ts';
import { environmentSecrets } from '../secrets/secrets.ts';
import { postgresStore } from '../store/postgres-store.ts';
import { observe } from './index.ts';

const patience = { timeout: 60_000, interval: 50 };

it('observes a worker of a fleet, from its first run to the alert and the drain', async () => {
  await using project = await testProject();
  await using hook = await httpServer();
  const good = project.pipeline(
    'good',
    `const rows = extract(numbersOf(2)); const loaded = load(rows, ledgerTarget('good'));
     export default pipeline({ name: 'good', runs: { kind: 'manual' }, steps: { rows, loaded } });`,
  );
  const bad = project.pipeline(
    'bad',
    `const rows = extract(numbersOf(2)); const loaded = load(rows, ledgerTarget('bad'));
     export default pipeline({ name: 'bad', runs: { kind: 'manual' }, steps: { rows, loaded } });`,
  );
  const target = new pg.Client({ connectionString: project.target });
  await target.connect();
  await target.query(`create table ledger_rows (target text constraint geheim99 check (target <> 'bad'), n int)`);
  await target.end();
  const pipelines = await Promise.all([good, bad].map(async (file) => ({ file, plan: compile((await loadPipeline(file)).pipeline) })));
  const lines: Record<string, unknown>[] = [];
  const secrets = environmentSecrets({ directory: project.directory });
  secrets.hide('geheim99');
  await using opened = await postgresStore(project.state);
  await using observed = await observe({
    role: 'worker',
    id: 'w1',
    state: project.state,
    queue: 'fleet:default',
    secrets,
    sink: { write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) },
    http: { port: 0 },
    cloudwatch: true,
    env: {},
    alerts: { oncall: { webhook: `${hook.url}/hook` } },
    alertPauses: { everyMs: 200, answerMs: 5_000, pauseMs: 100 },
  });
  const metrics = async () => (await fetch(`${observed.url}/metrics`)).text();
  await using dispatch = inlineDispatch();
  await using executor = await fleetExecutor({ state: project.state });
  const worker = await startFleetWorker({
    id: 'w1',
    redactor: secrets,
    store: observed.watch(opened),
    dispatch,
    pipelines,
    directory: project.directory,
  });
  await vi.waitFor(async () => expect(await metrics()).toContain('millrace_workers{queue="fleet:default"} 1\n'), patience);
  for (const { file, plan } of pipelines) await executor.start({ file, plan });
  worker.takeUp();
  await vi.waitFor(() => expect(lines.filter(({ type }) => type === 'run.ended')).toHaveLength(2), patience);
  const ended = (pipeline: string) => lines.find((line) => line['type'] === 'run.ended' && line['pipeline'] === pipeline);
  expect(ended('good')).toMatchObject({ level: 'info', result: 'succeeded' });
  expect(ended('bad')).toMatchObject({
    level: 'error',
    result: 'failed',
    err: { code: 'INTERNAL', message: expect.stringContaining('violates check constraint "***"') },
  });
  const jobs = lines.filter((line) => 'JobName' in line).map(({ JobName, JobStatus }) => `${JobName} ${JobStatus}`);
  expect(jobs.toSorted()).toEqual(['bad 0', 'good 1']);
  const text = await metrics();
  expect(text).toMatch(/millrace_stage_duration_seconds_count\{pipeline="good",stage="\w+",result="succeeded"\} 1\n/);
  expect(text).toMatch(/millrace_rows_total\{pipeline="good",stage="\w+"\} \d+\n/);
  await vi.waitFor(() => expect(hook.received).toHaveLength(1), patience);
  expect(JSON.parse(hook.received[0]?.body ?? '')).toMatchObject({
    kind: 'failed',
    pipeline: 'bad',
    text: expect.stringContaining('violates check constraint "***"'),
  });
  expect(`${JSON.stringify(lines)}${hook.received[0]?.body}`).not.toContain('geheim99');
  expect((await fetch(`${observed.url}/ready`)).status).toBe(200);
  observed.draining();
  await worker.drain();
  expect((await fetch(`${observed.url}/ready`)).status).toBe(503);
  expect((await fetch(`${observed.url}/health`)).status).toBe(200);
});
