import { decide, makeRunId, type RunStore, type StageOutput, type StoredError } from '@millrace/core/runtime';
import { planOf, requestFor, stageOf } from '@millrace/core/testing';
import { context, SpanStatusCode, trace } from '@opentelemetry/api';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import pg from 'pg';
import { expect, it, vi } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import { httpServer } from '../../test/http-server.ts';
import { environmentSecrets } from '../secrets/secrets.ts';
import { postgresStore } from '../store/postgres-store.ts';
import { observe } from './observe.ts';
import type { ObserveOptions } from './options.ts';

const patience = { timeout: 30_000, interval: 20 };
const secrets = () => environmentSecrets({ directory: '/nowhere', sources: ['env'], env: {} });

const output = {
  kind: 'load',
  receipt: { loadId: 'l', rows: 1_000, bytes: 64_000, checkpoint: null },
  alreadyApplied: false,
  lane: 'bytes',
  splits: 1,
  rejected: {},
  checks: [],
} as unknown as StageOutput;
const busy: StoredError = { code: 'CONNECTION_FAILED', message: 'Nobody there.', remedy: 'Wait.', facts: {} };

/** A process that observes itself, with what it has written. */
async function observing(database: TestDatabase, options: Partial<ObserveOptions> = {}) {
  const lines: Record<string, unknown>[] = [];
  const opened = await postgresStore(database.url);
  const observed = await observe({
    role: 'worker',
    id: 'w1',
    state: database.url,
    queue: 'fleet',
    secrets: secrets(),
    sink: { write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) },
    http: { port: 0 },
    env: {},
    ...options,
  });
  const said = () => lines.map(({ msg }) => msg);
  return {
    observed,
    lines,
    said,
    store: observed.watch(opened),
    get: async (path: string) => {
      const response = await fetch(`${observed.url}${path}`);
      return { status: response.status, body: await response.text() };
    },
    async [Symbol.asyncDispose]() {
      await observed[Symbol.asyncDispose]();
      await opened[Symbol.asyncDispose]();
    },
  };
}

/** The store goes away, for new connections and for those that are open. */
async function unreachable({ url, name }: TestDatabase) {
  const admin = new pg.Client({ connectionString: url.replace(name, 'postgres') });
  await admin.connect();
  await admin.query(`alter database ${name} allow_connections false`);
  await admin.query('select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1', [name]);
  const over = () => admin.query(`alter database ${name} allow_connections true`);
  return {
    over,
    async [Symbol.asyncDispose]() {
      await over();
      await admin.end();
    },
  };
}

const claim = (store: RunStore, run: string, stage: string, worker: string) =>
  store.claim({ run, stage }, (record, now) => decide(record, { type: 'claim', stage, worker }, now));

const transit = (store: RunStore, run: string, command: Parameters<typeof decide>[1]) =>
  store.transition(run, (record, now) => decide(record, command, now));

async function admitted(store: RunStore, pipeline: string): Promise<string> {
  const plan = planOf(pipeline, [stageOf('a'), stageOf('b', ['a'])]);
  const { run } = await store.create({ id: makeRunId(new Date(), Math.random), request: requestFor(pipeline), plan, queue: 'fleet' });
  await store.admission(run.id, (record, now, rivals) => decide(record, { type: 'admit', rivals, limit: 9 }, now));
  return run.id;
}

/** A run whose first stage fails once, is lost once and then succeeds, and whose second one succeeds. */
async function eventful(store: RunStore, pipeline: string): Promise<string> {
  const run = await admitted(store, pipeline);
  await claim(store, run, 'a', 'w1');
  await transit(store, run, { type: 'fail', stage: 'a', epoch: 1, error: busy, random: 0 });
  await transit(store, run, { type: 'wake' });
  await claim(store, run, 'a', 'w1');
  await transit(store, run, { type: 'lose', stage: 'a', epoch: 2 });
  await claim(store, run, 'a', 'w1');
  await transit(store, run, { type: 'succeed', stage: 'a', epoch: 3, output });
  await claim(store, run, 'b', 'w1');
  await transit(store, run, { type: 'succeed', stage: 'b', epoch: 1, output });
  return run;
}

it('logs, counts and tells CloudWatch what a process does through its store', async () => {
  await using database = await testDatabase();
  await using one = await observing(database, { cloudwatch: true });
  const run = await eventful(one.store, 'p');
  const steps = ['started', 'retrying', 'started', 'lost', 'taken up again', 'succeeded', 'started', 'succeeded'];
  expect(one.said().filter((msg) => String(msg).startsWith('stage'))).toEqual(steps.map((step) => `stage ${step}`));
  const retrying = one.lines.find(({ msg }) => msg === 'stage retrying');
  expect(retrying).toMatchObject({
    level: 'warn',
    role: 'worker',
    worker: 'w1',
    run,
    pipeline: 'p',
    stage: 'a',
    epoch: 1,
    attempt: 1,
    err: { code: 'CONNECTION_FAILED' },
  });
  const job = one.lines.find((line) => 'JobName' in line);
  expect(job).toMatchObject({ JobName: 'p', JobStatus: 1, JobFailed: 0, Run: run });

  await one.store.appendLogs([{ run, stage: 'a', epoch: 3, at: new Date().toISOString(), level: 'stderr', message: 'printed', facts: {} }]);
  expect(one.lines.at(-1)).toMatchObject({ msg: 'printed', run, stage: 'a', epoch: 3, pipeline: 'p', stream: 'stderr' });

  const { status, body } = await one.get('/metrics');
  expect(status).toBe(200);
  for (const sample of [
    'millrace_rows_total{pipeline="p",stage="a"} 1000',
    'millrace_bytes_total{pipeline="p",stage="b"} 64000',
    'millrace_retries_total{pipeline="p",stage="a"} 1',
    'millrace_leases_lost_total{pipeline="p",stage="a"} 1',
    'millrace_stages_recovered_total{pipeline="p",stage="a"} 1',
    'millrace_stage_duration_seconds_count{pipeline="p",stage="a",result="succeeded"} 1',
    'millrace_run_duration_seconds_count{pipeline="p",result="succeeded"} 1',
    'millrace_state_up 1',
    'millrace_runs{state="succeeded"} 1',
    'millrace_alerts_open 0',
  ])
    expect(body).toContain(`${sample}\n`);
  expect(body).toContain('millrace_info{role="worker",worker="w1",queue="fleet"} 1\n');
});

it('counts the rows of a stream as they come, and once', async () => {
  await using database = await testDatabase();
  await using one = await observing(database);
  const run = await admitted(one.store, 'mirror');
  await claim(one.store, run, 'a', 'w1');
  const progress = (rows: number) =>
    ({ run, stage: 'a', epoch: 1, phase: 'streaming', rows, bytes: 10 * rows, stream: { lagMs: 5 } }) as unknown as NonNullable<
      Parameters<RunStore['renew']>[1][number]['progress']
    >;
  for (const rows of [5, 5, 12]) await one.store.renew('w1', [{ run, stage: 'a', epoch: 1, progress: progress(rows) }]);
  await one.store.renew('w1', [{ run, stage: 'a', epoch: 1, progress: null }]);
  const { body } = await one.get('/metrics');
  expect(body).toContain('millrace_rows_total{pipeline="mirror",stage="a"} 12\n');
  expect(body).toContain('millrace_bytes_total{pipeline="mirror",stage="a"} 120\n');
  expect(body).toContain('millrace_stream_lag_seconds{pipeline="mirror",step="a"} 0.005\n');
});

it('is ready while the store and all else is there, and not while it drains', async () => {
  await using database = await testDatabase();
  let connected = false;
  await using one = await observing(database, { ready: { dispatch: () => connected } });
  expect(await one.get('/ready')).toEqual({ status: 503, body: 'not there: dispatch\n' });
  connected = true;
  expect((await one.get('/ready')).status).toBe(200);
  // The store goes away, for new connections and for those that are open.
  await using away = await unreachable(database);
  await vi.waitFor(async () => expect(await one.get('/ready')).toEqual({ status: 503, body: 'not there: state store\n' }), patience);
  expect((await one.get('/health')).status).toBe(200);
  await vi.waitFor(async () => expect((await one.get('/metrics')).body).toContain('millrace_state_up 0\n'), patience);
  expect(one.said().filter((msg) => String(msg).startsWith('the state store is away'))).toHaveLength(1);
  await away.over();
  await vi.waitFor(async () => expect((await one.get('/ready')).status).toBe(200), patience);
  one.observed.draining();
  expect(await one.get('/ready')).toEqual({ status: 503, body: 'draining\n' });
  expect((await one.get('/health')).status).toBe(200);
});

it('is healthy while the loop of its worker looks for work', async () => {
  await using database = await testDatabase();
  await using one = await observing(database, { silenceMs: 2_000 });
  expect((await one.get('/health')).status).toBe(200);
  await one.store.due('fleet');
  await vi.waitFor(async () => expect((await one.get('/health')).status).toBe(503), patience);
  await one.store.due('fleet');
  expect((await one.get('/health')).status).toBe(200);
});

it('tells the backlog of a fleet to CloudWatch once for all of its processes', async () => {
  await using database = await testDatabase();
  await using silent = await observing(database);
  await admitted(silent.store, 'p');
  await using first = await observing(database, { cloudwatch: true });
  await using second = await observing(database, { cloudwatch: true });
  await using third = await observing(database, { cloudwatch: true });
  const all = () => [silent, first, second, third].flatMap(({ lines }) => lines.filter((line) => 'BacklogPerWorker' in line));
  await vi.waitFor(() => expect(all()).toHaveLength(1), patience);
  expect(all()[0]).toMatchObject({ Queue: 'fleet', BacklogPerWorker: 1, ReadyStages: 1, Workers: 0 });
});

it('protects its task while a stage runs long, but not for a stream', async () => {
  await using database = await testDatabase();
  await using agent = await httpServer();
  const asked = () =>
    agent.received
      .filter(({ method }) => method === 'PUT')
      .map(({ body }) => (JSON.parse(body) as { ProtectionEnabled: boolean }).ProtectionEnabled);
  await using one = await observing(database, { longMs: 1_500, env: { ECS_AGENT_URI: agent.url } });
  const plan = planOf('mirror', [stageOf('changes', [], { kind: 'changes' })]);
  const stream = (await one.store.create({ id: makeRunId(new Date(), Math.random), request: requestFor('mirror'), plan, queue: 'fleet' }))
    .run.id;
  await transit(one.store, stream, { type: 'admit', rivals: [], limit: 9 });
  await claim(one.store, stream, 'changes', 'w1');
  const run = await admitted(one.store, 'p');
  const held = (id: string, stage: string) => ({ run: id, stage, epoch: 1, progress: null });
  await new Promise((resolve) => setTimeout(resolve, 1_600));
  await one.store.renew('w1', [held(stream, 'changes')]);
  await claim(one.store, run, 'a', 'w1');
  await one.store.renew('w1', [held(stream, 'changes'), held(run, 'a')]);
  expect(asked()).toEqual([]);
  await new Promise((resolve) => setTimeout(resolve, 1_600));
  await one.store.renew('w1', [held(stream, 'changes'), held(run, 'a')]);
  await vi.waitFor(() => expect(asked()).toEqual([true]), patience);
  await transit(one.store, run, { type: 'succeed', stage: 'a', epoch: 1, output });
  await vi.waitFor(async () => {
    await one.store.renew('w1', [held(stream, 'changes')]);
    expect(asked()).toEqual([true, false]);
  }, patience);
});

it('makes spans of attempts and runs, each a trace of its own, with links across processes', async () => {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  trace.setGlobalTracerProvider(provider);
  try {
    await using database = await testDatabase();
    const first = await observing(database);
    await using second = await observing(database, { id: 'w2' });
    const run = await admitted(first.store, 'p');
    await claim(first.store, run, 'a', 'w1');
    await vi.waitFor(async () => expect(await database.sql('select 1 from millrace.trace')).toHaveLength(1), patience);
    // Another process takes it away and does it; the first one learns of it by its heartbeat.
    await transit(second.store, run, { type: 'lose', stage: 'a', epoch: 1 });
    await claim(second.store, run, 'a', 'w2');
    await first.store.renew('w1', [{ run, stage: 'a', epoch: 1, progress: null }]);
    await vi.waitFor(async () => expect(await database.sql('select 1 from millrace.trace')).toHaveLength(2), patience);
    await transit(second.store, run, { type: 'succeed', stage: 'a', epoch: 2, output });
    await first[Symbol.asyncDispose]();
    await claim(second.store, run, 'b', 'w2');
    await transit(second.store, run, { type: 'succeed', stage: 'b', epoch: 1, output });
    await vi.waitFor(() => expect(exporter.getFinishedSpans()).toHaveLength(4), patience);
    const spans = exporter.getFinishedSpans();
    expect(new Set(spans.map((span) => span.spanContext().traceId)).size).toBe(4);
    expect(spans.every(({ parentSpanContext }) => parentSpanContext === undefined)).toBe(true);
    const [lost, again] = spans.filter(({ name }) => name === 'stage p a');
    const after = spans.find(({ name }) => name === 'stage p b');
    const whole = spans.find(({ name }) => name === 'run p');
    const linked = (span: typeof lost) => span?.links.map((link) => link.context.spanId).sort();
    const ids = (...of: (typeof lost)[]) => of.map((span) => span?.spanContext().spanId).sort();
    expect(lost).toMatchObject({
      status: { code: SpanStatusCode.ERROR },
      attributes: { 'millrace.result': 'lost', 'millrace.epoch': 1, 'millrace.worker': 'w1' },
    });
    expect(linked(lost)).toEqual([]);
    expect(linked(again)).toEqual(ids(lost));
    expect(linked(after)).toEqual(ids(lost, again));
    expect(linked(whole)).toEqual(ids(lost, again, after));
    expect(again?.attributes).toMatchObject({ 'millrace.rows': 1_000, 'millrace.result': 'succeeded', 'millrace.run': run });
  } finally {
    trace.disable();
    context.disable();
  }
});

it('asks the store nothing for spans where there is no SDK', async () => {
  await using database = await testDatabase();
  await using one = await observing(database);
  await eventful(one.store, 'p');
  expect(await database.sql('select 1 from millrace.trace')).toEqual([]);
});

it('ends in time while the store is away', async () => {
  await using database = await testDatabase();
  const one = await observing(database, { alerts: { oncall: { webhook: 'http://127.0.0.1:9/x' } } });
  await using away = await unreachable(database);
  const began = performance.now();
  await one.observed[Symbol.asyncDispose]();
  expect(performance.now() - began).toBeLessThan(13_000);
  await expect(fetch(`${one.observed.url}/health`)).rejects.toThrow();
  await away.over();
  await one[Symbol.asyncDispose]();
});
