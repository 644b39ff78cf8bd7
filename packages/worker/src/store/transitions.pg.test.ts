import { type Decision, decide, evolve, makeRunId, type RunRecord, type RunStore, type StageOutput } from '@millrace/core/runtime';
import { planOf, requestFor, stageOf } from '@millrace/core/testing';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import { postgresStore } from './postgres-store.ts';

const output: StageOutput = { kind: 'execute', alreadyDone: false, rowsAffected: [], notices: [], checks: [] };
const names = ['a', 'b', 'c', 'd', 'e', 'f'];
const plan = planOf('p', [...names.map((name) => stageOf(name)), stageOf('joined', names)]);

let database: TestDatabase;
let one: RunStore;
let other: RunStore;

beforeAll(async () => {
  database = await testDatabase();
  [one, other] = [await postgresStore(database.url), await postgresStore(database.url)];
});
afterAll(async () => {
  await Promise.all([one[Symbol.asyncDispose](), other[Symbol.asyncDispose]()]);
  await database[Symbol.asyncDispose]();
});

let made = 0;

/** A run that has been admitted. */
async function begun(): Promise<string> {
  const id = makeRunId(new Date(), Math.random);
  await one.create({ id, request: requestFor(`p${++made}`), plan, queue: 'fleet:t' });
  await one.transition(id, (run, now) => decide(run, { type: 'admit', rivals: [], limit: 1 }, now));
  return id;
}

const claim =
  (stage: string, worker = 'w'): Decision =>
  (run, now) =>
    decide(run, { type: 'claim', stage, worker }, now);
const succeed =
  (stage: string): Decision =>
  (run, now) =>
    decide(run, { type: 'succeed', stage, epoch: 1, output }, now);

async function gapless(id: string): Promise<RunRecord> {
  const run = await other.read(id);
  const events = await other.events(id, 0, 1000);
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
  expect(run.seq).toBe(events.length);
  expect(events.map(({ at }) => at)).toEqual(events.map(({ at }) => at).sort());
  const fresh = { ...run, state: { at: 'queued', since: run.createdAt, because: null }, cancelRequestedAt: null, seq: 0 } as const;
  const stages = new Map(
    plan.stages.map(({ id }) => [id, { id, state: { at: 'waiting' }, epoch: 0, attempts: 0, losses: 0, redone: 0, settled: 0 } as const]),
  );
  expect(evolve({ ...fresh, stages }, events)).toEqual(run);
  return run;
}

it('what is wished for a run at once is granted together, and each hears of its own', async () => {
  const id = await begun();
  const claims = await Promise.all(names.map((name) => one.transition(id, claim(name))));
  expect(claims.map(({ events }) => events.map(({ event }) => event.type))).toEqual(names.map(() => ['stage.started']));
  const ends = await Promise.all(names.map((name) => one.transition(id, succeed(name))));
  expect(ends.flatMap(({ events }) => events.filter(({ event }) => event.type === 'stage.ready'))).toMatchObject([
    { event: { stage: 'joined' } },
  ]);
  const run = await gapless(id);
  expect(run.stages.get('joined')?.state.at).toBe('ready');
  expect((await one.attempts(id)).map(({ result }) => result)).toEqual(names.map(() => 'succeeded'));
});

it('one that fails, and one that has nothing to do, leave the others alone', async () => {
  const id = await begun();
  await one.transition(id, claim('a'));
  const results = await Promise.allSettled([
    one.transition(id, claim('b')),
    one.transition(id, () => {
      throw new RangeError('not this one');
    }),
    one.transition(id, claim('a', 'late')),
    one.transition(id, claim('c')),
  ]);
  expect(results).toMatchObject([
    { status: 'fulfilled', value: { events: [{}] } },
    { status: 'rejected', reason: { message: 'not this one' } },
    { status: 'fulfilled', value: { events: [] } },
    { status: 'fulfilled', value: { events: [{}] } },
  ]);
  await gapless(id);
});

it('two processes that change a run in turn both decide on what it is now', async () => {
  const id = await begun();
  const claims = await Promise.all(
    names.flatMap((name) => [one.transition(id, claim(name, 'one')), other.transition(id, claim(name, 'other'))]),
  );
  expect(claims.filter(({ events }) => events.length > 0)).toHaveLength(names.length);
  for (const [index, name] of names.entries()) await (index % 2 ? one : other).transition(id, succeed(name));
  await other.transition(id, claim('joined'));
  const { run } = await one.transition(id, succeed('joined'));
  expect(run.state.at).toBe('succeeded');
  await gapless(id);
});

it('an attempt that begins and ends in one breath is written as such', async () => {
  const id = await begun();
  await one.transition(id, (run, now) => {
    const first = claim('a')(run, now);
    const after = evolve(
      run,
      first.map((event) => ({ event, at: now.toISOString() })),
    );
    return [...first, ...succeed('a')(after, now)];
  });
  expect(await one.attempts(id)).toMatchObject([{ stage: 'a', epoch: 1, result: 'succeeded' }]);
  await gapless(id);
});

it('a stage that is claimed in the breath that made it ready wakes nobody', async () => {
  const id = await begun();
  for (const name of names) await one.transition(id, claim(name));
  for (const name of names.slice(1)) await one.transition(id, succeed(name));
  while ((await one.drainOutbox('fleet:t', 100)).length > 0);
  await one.transition(id, (run, now) => {
    const first = succeed('a')(run, now);
    const after = evolve(
      run,
      first.map((event) => ({ event, at: now.toISOString() })),
    );
    return [...first, ...claim('joined')(after, now)];
  });
  expect((await other.read(id)).stages.get('joined')?.state).toMatchObject({ at: 'running', worker: 'w' });
  expect(await one.drainOutbox('fleet:t', 100)).toEqual([]);
  await gapless(id);
});

it('a run that somebody holds keeps no other from being changed', async () => {
  const [held, free] = [await begun(), await begun()];
  const holder = new pg.Client({ connectionString: database.url });
  await holder.connect();
  await holder.query('begin');
  await holder.query('select from millrace.run where id = $1 for update', [held]);
  const waits = one.transition(held, claim('a'));
  let waited = true;
  void waits.then(() => {
    waited = false;
  });
  const claims = await Promise.all(names.map((name) => one.transition(free, claim(name))));
  expect(claims.every(({ events }) => events.length === 1)).toBe(true);
  expect(waited).toBe(true);
  await holder.query('commit');
  await holder.end();
  expect((await waits).events).toHaveLength(1);
  await Promise.all([gapless(held), gapless(free)]);
});

it('many runs are changed together, also by two processes', async () => {
  const runs = await Promise.all(Array.from({ length: 12 }, begun));
  const stores = (index: number) => (index % 2 ? one : other);
  await Promise.all(runs.flatMap((id, index) => names.map((name) => stores(index).transition(id, claim(name)))));
  await Promise.all(runs.flatMap((id, index) => names.map((name, at) => stores(index + at).transition(id, succeed(name)))));
  for (const id of runs) expect((await gapless(id)).stages.get('joined')?.state.at).toBe('ready');
});
