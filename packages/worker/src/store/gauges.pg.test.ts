import { decide, makeRunId, type RunStore, type StageOutput } from '@millrace/core/runtime';
import { planOf, requestFor, stageOf } from '@millrace/core/testing';
import { expect, it, vi } from 'vitest';
import { testDatabase } from '../../../../test/postgres.ts';
import { connect } from './connect.ts';
import { fleetGauges } from './gauges.ts';
import { postgresStore } from './postgres-store.ts';

const output: StageOutput = { kind: 'execute', alreadyDone: false, rowsAffected: [], notices: [], checks: [] };

async function started(store: RunStore, pipeline: string, queue: string): Promise<string> {
  const plan = planOf(pipeline, [stageOf('a'), stageOf('b'), stageOf('c', ['a', 'b'])]);
  const { run } = await store.create({ id: makeRunId(new Date(), Math.random), request: requestFor(pipeline), plan, queue });
  await store.transition(run.id, (record, now) => decide(record, { type: 'admit', rivals: [], limit: 1 }, now));
  return run.id;
}

it('reads from the rows what waits, what runs, who lives and how far streams are', async () => {
  await using database = await testDatabase();
  await using store = await postgresStore(database.url);
  await using connection = connect(database.url);
  const read = () => connection.guard(fleetGauges);
  expect(await read()).toEqual({ queues: [], runs: {}, streams: [], alertsOpen: 0 });

  const run = await started(store, 'p', 'fleet');
  await started(store, 'other', 'local:x');
  await store.create({
    id: makeRunId(new Date(), Math.random),
    request: requestFor('waits'),
    plan: planOf('waits', [stageOf('a')]),
    queue: 'fleet',
  });
  await database.sql(`update millrace.stage set ready_at = now() - interval '90 s' where run = $1 and id = 'b'`, [run]);
  const idle = await read();
  expect(idle.queues).toMatchObject([
    { queue: 'fleet', ready: 2, running: 0, retrying: 0, workers: 0, backlogPerWorker: 2 },
    { queue: 'local', ready: 2, workers: 0 },
  ]);
  expect(idle.queues[0]?.oldestReady).toBeGreaterThanOrEqual(90);
  expect(idle.queues[0]?.oldestReady).toBeLessThan(200);
  expect(idle.runs).toEqual({ running: 2, queued: 1 });

  {
    await using _one = await store.register({ id: 'w1', label: 'one', leaseMs: 60_000, queue: 'fleet' });
    await using _two = await store.register({ id: 'w2', label: 'two', leaseMs: 60_000, queue: 'fleet' });
    await using _away = await store.register({ id: 'w3', label: 'three', leaseMs: 60_000, queue: 'fleet' });
    // Not heard of for long: stopped, or cut off.
    await database.sql(`update millrace.worker set seen_at = now() - interval '1 hour' where id = 'w3'`);
    expect((await read()).queues[0]).toMatchObject({ workers: 2, backlogPerWorker: 1 });
  }

  await store.transition(run, (record, now) => decide(record, { type: 'claim', stage: 'a', worker: 'w1' }, now));
  await store.splits.offer({ run, stage: 'a', epoch: 1, worker: 'w1' }, ['s1', 's2', 's3', 's4', 's5', 's6']);
  expect((await read()).queues[0]).toMatchObject({ ready: 1, running: 1, helpers: 2, backlogPerWorker: 3 });
  await store.splits.claim({ run, stage: 'a', epoch: 1, worker: 'w1' }, 2);
  expect((await read()).queues[0]).toMatchObject({ helpers: 1 });
  await store.transition(run, (record, now) => decide(record, { type: 'claim', stage: 'b', worker: 'w1' }, now));
  await store.transition(run, (record, now) => decide(record, { type: 'succeed', stage: 'a', epoch: 1, output }, now));
  const error = { code: 'CONNECTION_FAILED', message: 'm', remedy: 'r', facts: {} } as const;
  await store.transition(run, (record, now) => decide(record, { type: 'fail', stage: 'b', epoch: 1, error, random: 1 }, now));
  expect((await read()).queues[0]).toMatchObject({
    queue: 'fleet',
    ready: 0,
    running: 0,
    retrying: 1,
    due: 0,
    oldestReady: 0,
    backlogPerWorker: 0,
  });
  await database.sql(`update millrace.stage set retry_at = now() - interval '1 s' where run = $1 and id = 'b'`, [run]);
  expect((await read()).queues[0]).toMatchObject({ due: 1, backlogPerWorker: 1 });

  // Work of a service: nobody holds it, and somebody has to look.
  await database.sql(`update millrace.stage set at = 'elsewhere', retry_at = null where run = $1 and id = 'b'`, [run]);
  await database.sql(`insert into millrace.remote (run, stage, work, next_at) values ($1, 'b', 0, now() - interval '10 s')`, [run]);
  expect((await read()).queues[0]).toMatchObject({ running: 0, retrying: 0, elsewhere: 1, due: 0, backlogPerWorker: 0 });
  await database.sql(`update millrace.remote set next_at = now() - interval '20 s'`);
  expect((await read()).queues[0]).toMatchObject({ elsewhere: 1, due: 1, backlogPerWorker: 1 });

  await database.sql(
    `insert into millrace.stream (pipeline, step, at, progress) values ('mirror', 'changes', now() - interval '30 s', '{"stream":{"lagMs":1500}}')`,
  );
  const [stream] = (await read()).streams;
  expect(stream).toMatchObject({ pipeline: 'mirror', step: 'changes', lag: 1.5 });
  expect(stream?.seen).toBeGreaterThanOrEqual(30);
});

it('does not read what has ended long ago', async () => {
  await using database = await testDatabase();
  await using store = await postgresStore(database.url);
  const plan = planOf('p', [stageOf('a')]);
  const { run } = await store.create({ id: makeRunId(new Date(), Math.random), request: requestFor('p'), plan, queue: 'fleet' });
  await database.sql(
    `insert into millrace.run (id, pipeline, fingerprint, request, queue, at, state, created_at, seq)
     select '20200101T000000-' || n, pipeline, fingerprint, request, queue, 'succeeded', state, created_at, 0
     from millrace.run, generate_series(1, 50000) n where id = $1`,
    [run.id],
  );
  await database.sql('analyze millrace.run');
  /** How often an index was asked for runs, and how many were read without one. A session says so when it ends. */
  const statistics = () =>
    database.sql<{ found: number; read: number }>(
      `select idx_scan::int as found, seq_tup_read::int as read from pg_stat_user_tables where relname = 'run'`,
    );
  const [before] = await statistics();
  {
    await using connection = connect(database.url);
    expect((await connection.guard(fleetGauges)).runs).toEqual({ queued: 1 });
  }
  await vi.waitFor(async () => expect((await statistics())[0]?.found).toBeGreaterThan(before?.found ?? 0), { timeout: 30_000 });
  expect((await statistics())[0]?.read ?? Number.NaN).toBeLessThan((before?.read ?? 0) + 1_000);
});
