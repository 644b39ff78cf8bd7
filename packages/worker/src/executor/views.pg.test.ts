import { type Command, decide, makeRunId, type Plan, type PlanStage, type RunStore, type StoredError } from '@millrace/core/runtime';
import { planOf, requestFor, stageOf } from '@millrace/core/testing';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import { postgresStore } from '../store/postgres-store.ts';
import { runViews } from './views.ts';

/* What `runs show` says of a run that waits: each reason once, on a real store. */

let database: TestDatabase;
let store: RunStore;
beforeEach(async () => {
  database = await testDatabase();
  store = await postgresStore(database.url);
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

const make = async (plan: Plan, queue = 'fleet:shop') =>
  (await store.create({ id: makeRunId(new Date(), Math.random), request: requestFor(plan.pipeline), plan, queue })).run.id;
const obey = (run: string, command: Command) => store.transition(run, (record, now) => decide(record, command, now));
const admit = (run: string) => obey(run, { type: 'admit', rivals: [], limit: 1 });
const pools = { reporting: 2 };
/** As a worker claims it: within the limits. */
const claim = async (run: string, stage = 'a') => {
  const room = { pools, connections: 4 };
  const { events } = await store.claim({ run, stage }, (record, now, used) =>
    decide(record, { type: 'claim', stage, worker: 'w', room: { ...room, used } }, now),
  );
  return events.length > 0;
};
const alive = (plans?: readonly string[], id = 'w') =>
  store.register({ id, label: id, leaseMs: 60_000, queue: 'fleet:shop', ...(plans && { plans }) });
const waits = async (run: string, stage = 'a') => {
  const detail = await runViews(store, { pools }).show(run);
  return { run: detail.waits, stage: detail.stages.find(({ id }) => id === stage)?.waits };
};
const limited = (pipeline: string, limits: PlanStage['limits']) => planOf(pipeline, [stageOf('a', [], { ...(limits && { limits }) })]);

it('a run that is not admitted: behind another one of its pipeline, or because nobody is there', async () => {
  const plan = planOf('nightly', [stageOf('a')]);
  const [first, second] = [await make(plan), await make(plan)];
  expect(await waits(first)).toEqual({
    run: 'waits for a worker: none of its fleet is alive; "millrace worker" starts one',
    stage: 'waits for the run to begin',
  });
  await alive();
  expect(await waits(first)).toMatchObject({ run: 'waits to be admitted' });
  await admit(first);
  await store.admission(second, (record, now, rivals) => decide(record, { type: 'admit', rivals, limit: 1 }, now));
  expect(await waits(second)).toMatchObject({ run: `waits for run ${first} of the same pipeline to end` });
});

it('a stage behind another one, and one whose time has not come', async () => {
  await alive();
  const run = await make(planOf('nightly', [stageOf('a'), stageOf('b', ['a'])]));
  await admit(run);
  expect(await waits(run, 'b')).toEqual({ run: null, stage: 'waits for a (ready)' });
  await claim(run);
  expect(await waits(run, 'b')).toMatchObject({ stage: 'waits for a (running)' });
  expect(await waits(run, 'a')).toMatchObject({ stage: null });
  const error: StoredError = { code: 'CONNECTION_FAILED', message: 'away', remedy: 'wait', facts: {} };
  await obey(run, { type: 'fail', stage: 'a', epoch: 1, error, random: 0.5 });
  expect(await waits(run)).toMatchObject({
    stage: expect.stringMatching(/^waits until \d\d:\d\d:\d\d UTC \(\d+\.\d s more\) for attempt 2 of \d+, after CONNECTION_FAILED$/),
  });
});

it('a version that no worker has, and places that are all taken', async () => {
  const plan = planOf('nightly', [stageOf('a')]);
  const run = await make(plan);
  await admit(run);
  expect(await waits(run)).toMatchObject({ stage: expect.stringContaining('none of its fleet is alive') });
  await alive(['another'], 'old');
  expect(await waits(run)).toMatchObject({
    stage: `waits for a worker that has this version of "nightly" (${plan.fingerprint.slice(0, 12)}); the 1 that live have others`,
  });
  await alive([plan.fingerprint], 'new');
  expect(await waits(run)).toMatchObject({ stage: 'waits for a free place in one of 1 workers that have the pipeline' });
});

it('a pool that is full, and whose stages fill it; one that has room is not what it waits for', async () => {
  await alive();
  const pool = [{ kind: 'pool', name: 'reporting', most: null }] as const;
  const runs = await Promise.all(['one', 'two', 'three'].map((name) => make(limited(name, pool))));
  const [one, two, three] = runs as [string, string, string];
  for (const run of runs) await admit(run);
  expect(await claim(one)).toBe(true);
  expect(await waits(three)).toMatchObject({ stage: expect.stringContaining('waits for a free place') });
  expect(await claim(two)).toBe(true);
  expect(await claim(three)).toBe(false);
  const { stage } = await waits(three);
  expect(stage).toContain('waits for the pool "reporting": 2 of 2 places are taken, by ');
  expect(stage).toContain(`a of one (run ${one})`);
  expect(stage).toContain(`a of two (run ${two})`);
});

it('connections that are all taken, and by whom', async () => {
  await alive();
  const connections = [{ kind: 'connections', name: 'secret(SHOP_URL)', most: 3 }] as const;
  const [one, two] = [await make(limited('one', connections)), await make(limited('two', connections))];
  for (const run of [one, two]) await admit(run);
  await claim(one);
  expect(await waits(two)).toMatchObject({
    stage: `waits for connections to secret(SHOP_URL): 3 of 3 connections are taken, by a of one (run ${one})`,
  });
});

it('a worker that is gone, and a run that nobody works on', async () => {
  const worker = await alive();
  const run = await make(planOf('nightly', [stageOf('a')]));
  await admit(run);
  await claim(run);
  await worker[Symbol.asyncDispose]();
  expect(await waits(run)).toMatchObject({ stage: 'its worker has gone; whoever looks next gives it to another' });

  const left = await make(planOf('here', [stageOf('a')]), 'local:nobody');
  expect(await waits(left)).toMatchObject({ run: `no process works on it; "millrace runs retry ${left}" goes on with it` });
  await admit(left);
  await obey(left, { type: 'cancel' });
  expect(await waits(left)).toMatchObject({ run: null });
});
