import { decide, isMillraceError, machineBegan, type Plan, type RunStore, stepFunctionsQueue } from '@millrace/core/runtime';
import { planOf, requestFor, stageOf } from '@millrace/core/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gate, type TestProject, testProject } from '../../test/project.ts';
import { workerId } from '../fleet/fleet-worker.ts';
import { redactor } from '../secrets/redact.ts';
import { ProcessPool } from '../stage-process/pool.ts';
import { postgresStore } from '../store/postgres-store.ts';
import { runStep } from './run-step.ts';
import type { Step, StepEnd, StepOptions } from './step.ts';

/* What a state machine would ask for, in any order and more than once. Processes that die, and those that help, are in cli/test/run-step.pg.test.ts. */

let project: TestProject;
/** As two processes have them. */
let stores: readonly [RunStore, RunStore];
beforeAll(async () => {
  project = await testProject();
  stores = [await postgresStore(project.state), await postgresStore(project.state)];
});
afterAll(async () => {
  for (const store of stores) await store[Symbol.asyncDispose]();
  await project[Symbol.asyncDispose]();
});

interface Machine {
  readonly plan: Plan;
  readonly run: string;
  /** As one of its tasks. */
  task(stage: string, more?: Partial<Step>, options?: Partial<StepOptions>): Promise<StepEnd>;
}

let runs = 0;
/** What a file compiles to there is what it compiles to here. */
const processes = new ProcessPool(0);

/** An execution, from the side of those who ask for its stages. */
async function machine(name: string, steps: string): Promise<Machine> {
  const file = project.pipeline(name, `import { MillraceError } from '@millrace/core/runtime';\n${steps}`);
  const plan = await processes.plan({ file, directory: project.directory, sources: ['.env', 'env'] });
  const run = `execution ${++runs}`;
  return {
    plan,
    run,
    task: (stage, more = {}, options = {}) =>
      runStep(
        { run, stage, plan: plan.fingerprint, failed: [], reopenings: 0, redrives: 0, alone: false, helps: false, request: asked, ...more },
        {
          store: stores[0],
          pipeline: { file, plan },
          signal: new AbortController().signal,
          directory: project.directory,
          redactor: redactor(),
          id: workerId(),
          leaseMs: 3_000,
          graceMs: 2_000,
          ...options,
        },
      ),
  };
}

const asked = { logicalTime: '2026-03-29T00:00:00Z', date: null, window: null, params: {} };
const done = { at: 'done' };
const stagesOf = async (run: string) => [...(await stores[0].read(run)).stages.values()];
const statesOf = async (run: string) => (await stagesOf(run)).map(({ state }) => state.at);
const attemptsOf = async (run: string) => (await stores[0].attempts(run)).map(({ stage, result }) => `${stage} ${result}`);
const eventsOf = async (run: string) => (await stores[0].events(run, 0, 500)).map(({ event }) => event);
async function until(holds: () => Promise<boolean>): Promise<void> {
  await expect.poll(holds, { timeout: 60_000, interval: 50 }).toBe(true);
}

it('does a stage once, also where it is asked for twice at once and again, beside another stage of the run', async () => {
  const { run, task } = await machine(
    'once',
    `const rows = extract(numbersOf(2, 50)); const a = load(rows, ledgerTarget('once-a')); const b = load(rows, ledgerTarget('once-b'));
     const called = ledgerCall('once', [a, b]);
     export default pipeline({ name: 'once', steps: { rows, a, b, called } });`,
  );
  const ends = await Promise.all([task('a'), task('a', {}, { store: stores[1] }), task('b', {}, { store: stores[1] })]);
  expect(ends).toEqual([done, done, done]);
  expect(await task('called')).toEqual(done);
  expect(await Promise.all(['a', 'called'].map((stage) => task(stage)))).toEqual([done, done]);
  expect((await attemptsOf(run)).sort()).toEqual(['a succeeded', 'b succeeded', 'called succeeded']);
  expect((await project.rows('once-a')).length + (await project.rows('once-b')).length).toBe(40);
  const record = await stores[0].read(run);
  expect(record).toMatchObject({ state: { at: 'succeeded' }, request: { date: '2026-03-29', file: null } });
  expect((await eventsOf(run)).filter(({ type }) => type === 'run.started')).toHaveLength(1);
  expect(await stores[0].workers(stepFunctionsQueue)).toEqual([]);
});

describe('a stage that fails', () => {
  it('is tried again when the machine says so, whatever pause the record has in mind', async () => {
    const { run, task } = await machine(
      'passes',
      `const rows = extract(numbersOf(1));
       const checked = each(rows, () => { if (!existsSync('passes.open')) throw new MillraceError('CONNECTION_FAILED', { message: 'away', remedy: 'wait' }); });
       const a = load(checked, ledgerTarget('passes'), { retry: { attempts: 3, delay: '1h' } });
       export default pipeline({ name: 'passes', steps: { rows, checked, a } });`,
    );
    expect(await task('a')).toMatchObject({ at: 'retry', error: { code: 'CONNECTION_FAILED', message: expect.stringContaining('away') } });
    expect(await statesOf(run)).toEqual(['retrying']);
    project.open('passes');
    expect(await task('a')).toEqual(done);
    expect(await attemptsOf(run)).toEqual(['a failed', 'a succeeded']);
  });

  it('for good says the same to whoever asks again, until its execution is redriven, once', async () => {
    const { run, task } = await machine(
      'broken',
      `const rows = extract(numbersOf(1)); const good = load(rows, ledgerTarget('broken-good'));
       const checked = each(rows, () => { if (!existsSync('broken.open')) throw new Error('no'); });
       const bad = load(checked, ledgerTarget('broken'), { retry: { attempts: 3 } }); const behind = ledgerCall('broken', [good, bad]);
       export default pipeline({ name: 'broken', steps: { rows, good, checked, bad, behind } });`,
    );
    expect(await task('good')).toEqual(done);
    const failed = await task('bad');
    expect(failed).toMatchObject({ at: 'failed', error: { code: 'FUNCTION_FAILED' } });
    expect(await task('bad')).toEqual(failed);
    expect(await task('behind')).toMatchObject({
      at: 'failed',
      error: { code: 'FUNCTION_FAILED', message: expect.stringContaining('"bad"') },
    });
    expect(await attemptsOf(run)).toEqual(['good succeeded', 'bad failed']);

    expect(await task('bad', { reopenings: 1 })).toMatchObject({ at: 'failed' });
    expect(await task('bad', { reopenings: 1 })).toMatchObject({ at: 'failed' });
    expect(await attemptsOf(run)).toEqual(['good succeeded', 'bad failed', 'bad failed']);
    project.open('broken');
    expect(await Promise.all([task('bad', { reopenings: 2 }), task('bad', { reopenings: 2 }, { store: stores[1] })])).toEqual([done, done]);
    expect(await task('behind', { reopenings: 2 })).toEqual(done);
    expect((await eventsOf(run)).filter(({ type }) => type === 'run.reopened')).toHaveLength(2);
    expect(await stores[0].read(run)).toMatchObject({ state: { at: 'succeeded' } });
    expect(await project.rows('broken-good')).toHaveLength(10);
  });

  it('by a cancel has that as its reason', async () => {
    const { run, task } = await machine(
      'cancelled',
      `const rows = extract(numbersOf(1)); const held = each(rows, ${gate('cancelled')}); const a = load(held, ledgerTarget('cancelled'));
       export default pipeline({ name: 'cancelled', steps: { rows, held, a } });`,
    );
    const ending = task('a');
    await until(async () => (await stores[0].list({ pipeline: 'cancelled' }))[0]?.stages.running === 1);
    await stores[0].transition(run, (record, now) => decide(record, { type: 'cancel' }, now));
    expect(await ending).toMatchObject({ at: 'failed', error: { code: 'RUN_CANCELLED' } });
    expect(await task('a')).toMatchObject({ at: 'failed', error: { code: 'RUN_CANCELLED' } });
  });
});

it('counts a redrive that nobody has told the record of when its first task comes, not when its stage fails', async () => {
  const { run, task } = await machine(
    'redriven',
    `const rows = extract(numbersOf(1));
     const checked = each(rows, () => {
       if (existsSync('redriven.open')) throw new Error('no');
       throw new MillraceError('CONNECTION_FAILED', { message: 'away', remedy: 'wait' });
     });
     const a = load(checked, ledgerTarget('redriven'), { retry: { attempts: 2, delay: '1h' } }); const b = ledgerCall('redriven', [a]);
     export default pipeline({ name: 'redriven', steps: { rows, checked, a, b } });`,
  );
  expect(await task('a')).toMatchObject({ at: 'retry' });
  project.open('redriven');
  expect(await task('a', { reopenings: 1 })).toMatchObject({ at: 'failed', error: { code: 'FUNCTION_FAILED' } });
  expect(await task('a', { reopenings: 1 })).toMatchObject({ at: 'failed', error: { code: 'FUNCTION_FAILED' } });
  expect(await attemptsOf(run)).toEqual(['a failed', 'a failed']);
  expect(await stagesOf(run)).toMatchObject([{ attempts: 1 }, { state: { at: 'skipped' } }]);
  expect((await eventsOf(run)).filter(({ type }) => type === 'run.reopened')).toHaveLength(1);
});

it('is refused to an execution that somebody redrives when its run has gone on in another one, however that one ended', async () => {
  const { run, task } = await machine(
    'overtaken-run',
    `const rows = extract(numbersOf(1)); const checked = each(rows, () => { if (!existsSync('overtaken-run.open')) throw new Error('no'); });
     const a = load(checked, ledgerTarget('overtaken-run')); export default pipeline({ name: 'overtaken-run', steps: { rows, checked, a } });`,
  );
  expect(await task('a')).toMatchObject({ at: 'failed' });
  await stores[0].transition(run, (record, now) => decide(record, { type: 'reopen', from: [], by: 'execution' }, now));
  const refused = { code: 'RUN_HELD', message: expect.stringContaining('gone on in another execution') };
  await expect(task('a', { reopenings: 1, redrives: 1 })).rejects.toMatchObject(refused);
  project.open('overtaken-run');
  expect(await task('a', { reopenings: 1 })).toEqual(done);
  await expect(task('a', { reopenings: 2, redrives: 2 })).rejects.toMatchObject(refused);
  await expect(task('a', { reopenings: 2, redrives: 1, alone: true })).rejects.toMatchObject({
    code: 'RUN_HELD',
    remedy: expect.stringContaining('runs retry'),
  });
  // The other one may be redriven.
  expect(await task('a', { reopenings: 2, redrives: 1 })).toEqual(done);
});

it('of a redrive waits for an attempt of before, which is asked to stop', async () => {
  const { run, task } = await machine(
    'overtaken',
    `const rows = extract(numbersOf(1)); const held = each(rows, ${gate('overtaken')}); const a = load(held, ledgerTarget('overtaken'));
     const b = ledgerCall('overtaken', []); export default pipeline({ name: 'overtaken', steps: { rows, held, a, b } });`,
  );
  const before = task('a', {}, { store: stores[1] });
  await until(async () => (await stores[0].list({ pipeline: 'overtaken' }))[0]?.stages.running === 1);
  expect(await task('b', { reopenings: 1 })).toEqual(done);
  project.open('overtaken');
  expect((await stores[0].attempts(run)).find(({ epoch, stage }) => stage === 'a' && epoch === 1)).toMatchObject({ result: 'cancelled' });
  // It may be quick enough to see that there is something to do again.
  expect(['failed', 'done']).toContain((await before).at);
  expect(await task('a', { reopenings: 1 })).toEqual(done);
  expect((await eventsOf(run)).filter(({ type }) => type === 'run.reopened')).toHaveLength(1);
  expect(await project.rows('overtaken')).toHaveLength(10);
});

it('gives a stage back that it is asked to stop, without an attempt spent, and the next task goes on', async () => {
  const { run, task } = await machine(
    'stopped',
    `const rows = extract(numbersOf(1)); const held = each(rows, ${gate('stopped')}); const a = load(held, ledgerTarget('stopped'));
     export default pipeline({ name: 'stopped', steps: { rows, held, a } });`,
  );
  const stop = new AbortController();
  const ending = task('a', {}, { signal: stop.signal });
  await until(async () => (await stores[0].list({ pipeline: 'stopped' }))[0]?.stages.running === 1);
  stop.abort();
  expect(await ending).toMatchObject({ at: 'stopped', error: { code: 'SHUTDOWN' } });
  expect(await stagesOf(run)).toMatchObject([{ state: { at: 'ready' }, attempts: 0 }]);
  expect(await stores[0].abandoned(run)).toBe(false);
  project.open('stopped');
  expect(await task('a')).toEqual(done);
  expect(await project.rows('stopped')).toHaveLength(10);
});

describe('work at a service', () => {
  it('that the machine has done by itself is over when the machine comes to what follows', async () => {
    const { run, task } = await machine(
      'native',
      `const job = ledgerWork('native', {}); const other = ledgerWork('native other', { onFailure: 'continue' });
       const called = ledgerCall('native', [job]); export default pipeline({ name: 'native', steps: { job, other, called } });`,
    );
    expect(await task('called', { failed: ['other'] })).toEqual(done);
    expect(await stores[0].read(run)).toMatchObject({ state: { at: 'partial', error: { code: 'REMOTE_FAILED' } } });
    expect(await statesOf(run)).toEqual(['succeeded', 'failed', 'succeeded']);
    expect(await project.works()).toEqual([]);
  });

  it('that a task of ours watches goes on without it, and is found by the next one; nothing else is looked at', async () => {
    const { run, task } = await machine(
      'watched',
      `const job = ledgerWork('watched'); export default pipeline({ name: 'watched', steps: { job } });`,
    );
    // Step Functions does that of another run by itself.
    const plan = planOf('theirs', [stageOf('job', [], { kind: 'remote' })]);
    await stores[0].create({ id: 'theirs', request: requestFor('theirs'), plan, queue: stepFunctionsQueue });
    await stores[0].transition('theirs', (record, now) => machineBegan(record, 'job', now));

    const stop = new AbortController();
    const first = task('job', {}, { signal: stop.signal });
    await until(async () => (await stores[0].remote.works(run))[0]?.status === 'RUNNING');
    stop.abort();
    expect(await first).toMatchObject({ at: 'stopped' });
    const second = task('job', {}, { store: stores[1] });
    await project.endWorks();
    expect(await second).toEqual(done);
    expect(await project.works()).toMatchObject([{ step: 'watched', at: 'ended' }]);
    expect(await statesOf('theirs')).toEqual(['elsewhere']);
  });

  it('that a task of ours watches is ended by it when its run is cancelled, also where the task is to end at that moment', async () => {
    const { run, task } = await machine(
      'ended',
      `const job = ledgerWork('ended'); export default pipeline({ name: 'ended', steps: { job } });`,
    );
    const stop = new AbortController();
    const watching = task('job', {}, { signal: stop.signal, graceMs: 20_000 });
    await until(async () => (await stores[0].remote.works(run))[0]?.status === 'RUNNING');
    await stores[0].transition(run, (record, now) => decide(record, { type: 'cancel' }, now));
    stop.abort();
    expect(await watching).toMatchObject({ at: 'failed', error: { code: 'RUN_CANCELLED' } });
    expect((await project.works()).at(-1)).toMatchObject({ step: 'ended', at: 'stopped' });
    expect(await stores[0].read(run)).toMatchObject({ state: { at: 'cancelled' } });
  });
});

describe('is refused', () => {
  const refusal = async (asking: Promise<StepEnd>): Promise<string> => {
    const error: unknown = await asking.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    return isMillraceError(error) ? `${error.code} ${error.message}` : String(error);
  };

  it('what is of another version, of another time or of another pipeline, or what this state database has not seen done', async () => {
    const steps = (name: string) =>
      `const a = ledgerCall('${name}', []); const b = ledgerCall('${name} b', [a]); export default pipeline({ name: '${name}', steps: { a, b } });`;
    const { run, plan, task } = await machine('refused', steps('refused'));
    expect(await refusal(task('a', { plan: 'f'.repeat(64) }))).toMatch(/^PLAN_CHANGED .*ffffffffffff/);
    expect(await refusal(stores[0].read(run) as never)).toMatch(/^RUN_NOT_FOUND/);
    expect(await refusal(task('z'))).toMatch(/^CONFIG_INVALID .*no stage "z"/);
    expect(await refusal(task('b'))).toMatch(/^CONFIG_INVALID .*of "a" the state database does not know/);
    expect(await refusal(task('a', { request: { ...asked, logicalTime: '2026-03-30T00:00:00Z' } }))).toMatch(
      /^CONFIG_INVALID .*There is a run/,
    );
    const other = await machine('refused-other', steps('refused-other'));
    expect(await refusal(other.task('a', { run }))).toMatch(/^CONFIG_INVALID .*of pipeline "refused"/);
    expect(await refusal(task('a', { request: { ...asked, params: { x: '1' } } }))).toMatch(/^CONFIG_INVALID .*no parameter "x"/);
    await stores[0].create({ id: 'taken', request: requestFor('refused'), plan, queue: 'fleet:other' });
    expect(await refusal(task('a', { run: 'taken' }))).toMatch(/^RUN_HELD/);
    expect(await project.calls()).not.toContain('refused');
  });
});
