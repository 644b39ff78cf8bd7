import {
  decide,
  isDone,
  type Json,
  machineReached,
  memoryStore,
  type Plan,
  type RunId,
  type RunStore,
  type StageRecord,
  type StoredError,
  stepFunctionsQueue,
} from '@millrace/core/runtime';
import { requestFor } from '@millrace/core/testing';
import { compileStateMachines, type StepFunctionsExecutor, stepFunctionsExecutor, templateOf } from '@millrace/step-functions';
import { type RunViews, runViews } from '@millrace/worker';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { AwsFault } from '../../../test/aws-fake.ts';
import { type RunningTask, type StepFunctionsServer, stepFunctionsServer } from '../../../test/step-functions-server.ts';
import { stepFunctionsService } from '../../step-functions/src/executor/service.ts';
import { Settler } from '../../step-functions/src/executor/settle.ts';
import { remotes } from '../../step-functions/test/everything.ts';
import { type Asked, failure } from '../../step-functions/test/interpreter.ts';
import { planOf, type StageLike, settings } from '../../step-functions/test/plans.ts';

/*
 * Runs on Step Functions as their executor sees them: machines are interpreted, the API is spoken over HTTP. Tasks say what `run-step` says, and move
 * nothing; test/executors has the real ones.
 */

const patient = { timeout: 30_000 };

let store: RunStore;
let server: StepFunctionsServer;
let executor: StepFunctionsExecutor<RunViews>;
/** By stage: what becomes of its task. It succeeds where nothing stands here. */
let tasks: Record<string, () => 'succeeds' | 'never begins' | 'goes on' | StoredError['code']>;
/** By state: what the service answers, or fails with. */
let services: Record<string, () => Json>;

beforeEach(async () => {
  [store, tasks, services] = [memoryStore(), {}, {}];
  await store.register({ id: 'tasks', label: 'tasks', leaseMs: 60_000, queue: stepFunctionsQueue });
  server = await stepFunctionsServer({ startTask, native: ({ state }: Asked) => services[state]?.() });
  for (const [name, value] of Object.entries(server.environment)) vi.stubEnv(name, value);
  executor = await stepFunctionsExecutor({
    store,
    views: runViews(store),
    settings,
    environment: 'prod',
    pauses: { first: 20, longest: 50 },
  });
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await executor[Symbol.asyncDispose]();
  vi.unstubAllEnvs();
});

function startTask([, , , stage = '']: readonly string[], { MILLRACE_RUN: run = '' }: Readonly<Record<string, string>>): RunningTask {
  let stop = (): void => {};
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  return { exitCode: work(run, stage, stopped), stop };
}

async function work(run: RunId, stage: string, stopped: Promise<void>): Promise<number> {
  const becomes = tasks[stage]?.() ?? 'succeeds';
  if (becomes === 'never begins') return 1;
  await store.transition(run, (record, now) => machineReached(record, stage, new Set(), now));
  await store.transition(run, (record, now) => decide(record, { type: 'due', stage }, now));
  const { run: claimed, events } = await store.transition(run, (record, now) =>
    decide(record, { type: 'claim', stage, worker: 'tasks' }, now),
  );
  if (events.length === 0) return isDone(claimed.stages.get(stage) as StageRecord) ? 0 : 1;
  const epoch = claimed.stages.get(stage)?.epoch as number;
  if (becomes === 'goes on') await stopped;
  const output = { kind: 'execute', alreadyDone: false, rowsAffected: [], notices: [], checks: [] } as const;
  await store.transition(run, (record, now) =>
    decide(
      record,
      becomes === 'succeeds' || becomes === 'goes on'
        ? { type: 'succeed', stage, epoch, output }
        : { type: 'fail', stage, epoch, error: { code: becomes, message: 'no', remedy: 'none', facts: {} }, random: 0 },
      now,
    ),
  );
  return becomes === 'succeeds' ? 0 : 1;
}

const plan = (...stages: readonly StageLike[]): Plan => planOf(stages, { steps: remotes });
/** Ours, then a Glue job, then ours. */
const nightly = (glue: Partial<StageLike> = {}): Plan =>
  plan({ id: 'a' }, { id: 'glue', needs: ['a'], retry: { attempts: 3, delayMs: 1, maxDelayMs: 1 }, ...glue }, { id: 'b', needs: ['glue'] });

function deploy(of: Plan): Plan {
  server.deploy(templateOf(of, compileStateMachines(of, settings), settings));
  return of;
}

const start = (of: Plan, more: object = {}) => executor.start({ file: 'x.ts', plan: of, ...more });
async function ended(of: Plan, more: object = {}): Promise<Awaited<ReturnType<typeof executor.show>>> {
  const { run } = await start(of, more);
  await executor.finished(run.id, { signal: AbortSignal.timeout(20_000) });
  return executor.show(run.id);
}
const states = ({ stages }: { readonly stages: readonly { readonly id: string; readonly state: { readonly at: string } }[] }) =>
  Object.fromEntries(stages.map(({ id, state }) => [id, state.at]));
function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}
const askedOf = () =>
  server.asked.map(({ call, parameters, state }) =>
    call.startsWith('ecs') ? String(parameters['Overrides']?.['ContainerOverrides']?.[0]?.['Command']?.[3]) : state,
  );

test('a run is an execution of its name, and its record has what the machine did by itself', async () => {
  services['glue'] = () => ({ Id: 'jr_1', JobRunState: 'SUCCEEDED' });
  const detail = await ended(deploy(nightly()), { logicalTime: '2026-03-29T00:00:00Z' });
  const { run, stages } = detail;
  expect(run.state.at).toBe('succeeded');
  await vi.waitFor(() => expect(server.status(run.id)).toBe('SUCCEEDED'), patient);
  expect(JSON.parse(server.fake.called('StartExecution')[0].input)).toEqual({
    run: run.id,
    execution: run.id,
    time: '2026-03-29T00:00:00.000Z',
    date: '2026-03-29',
    window: null,
    params: {},
  });
  const glue = stages.find(({ id }) => id === 'glue');
  expect(glue?.attempts).toMatchObject([{ attempt: 1, result: 'succeeded', worker: 'step-functions' }]);
});

test('what the machine does last is recorded by whoever looks, also when nobody watched', async () => {
  const of = deploy(plan({ id: 'a' }, { id: 'glue', needs: ['a'] }));
  services['glue'] = () => ({ Id: 'jr_7', JobRunState: 'SUCCEEDED' });
  const { run } = await start(of);
  await vi.waitFor(() => expect(server.status(run.id)).toBe('SUCCEEDED'), patient);
  expect((await store.read(run.id)).state.at).toBe('running');
  expect(await executor.list()).toMatchObject([{ id: run.id, state: { at: 'succeeded' } }]);
  expect((await executor.show(run.id)).stages[1]?.state).toMatchObject({
    at: 'succeeded',
    output: { kind: 'remote', handle: { id: 'jr_7', link: expect.stringContaining(`execution:millrace-nightly:${run.id}`) } },
  });
});

test('each attempt at native work is an attempt in the record, and an error that cannot pass ends it', async () => {
  let tries = 0;
  services['glue'] = () => {
    throw failure(++tries < 2 ? 'Glue.ConcurrentRunsExceededException' : 'States.TaskFailed', '{"ErrorMessage":"no such column"}');
  };
  const { run, stages } = await ended(deploy(nightly()));
  expect(run.state).toMatchObject({ at: 'failed', error: { code: 'REMOTE_FAILED', message: expect.stringContaining('no such column') } });
  expect(stages[1]?.attempts.map(({ attempt, result, error }) => [attempt, result, error?.code])).toEqual([
    [1, 'failed', 'REMOTE_THROTTLED'],
    [2, 'failed', 'REMOTE_FAILED'],
  ]);
  expect(states({ stages })).toEqual({ a: 'succeeded', glue: 'failed', b: 'skipped' });
});

test('a job that somebody stopped has failed; where it may, the run is a partial one', async () => {
  services['glue'] = () => ({ JobRunState: 'STOPPED' });
  const { run, stages } = await ended(deploy(nightly({ onFailure: 'continue' })));
  expect({ at: run.state.at, stages: states({ stages }) }).toEqual({
    at: 'partial',
    stages: { a: 'succeeded', glue: 'failed', b: 'skipped' },
  });
});

test('the same idempotency key is the same run, and one execution', async () => {
  const of = deploy(nightly());
  const one = await start(of, { idempotencyKey: 'k' });
  const again = await start(of, { idempotencyKey: 'k' });
  expect(again).toMatchObject({ continued: true, run: { id: one.run.id } });
  await executor.finished(one.run.id);
  expect(await start(of, { idempotencyKey: 'k' })).toMatchObject({ continued: true, run: { state: { at: 'succeeded' } } });
  expect(askedOf()).toEqual(['a', 'glue', 'b']);
});

test('a record without an execution says so, and resume starts it', async () => {
  const of = deploy(nightly());
  server.fake.fail('StartExecution', new AwsFault('InternalFailure', 'no', 500), 6);
  const error = await start(of).catch((one) => one);
  expect(error).toMatchObject({ code: 'REMOTE_UNAVAILABLE', remedy: expect.stringContaining('millrace runs retry') });
  const [left] = await executor.list();
  expect((await executor.show(left?.id as string)).waits).toMatch(/no execution was started for it/);
  await executor.resume(left?.id as string);
  expect((await executor.finished(left?.id as string)).state.at).toBe('succeeded');
});

test('being asked to slow down is a matter of a moment', async () => {
  server.fake.fail('StartExecution', new AwsFault('ThrottlingException', 'Rate exceeded'), 2);
  expect((await ended(deploy(nightly()))).run.state.at).toBe('succeeded');
});

test('what stands in the way is told with what to do', async () => {
  await expect(start(nightly())).rejects.toMatchObject({
    code: 'REMOTE_REFUSED',
    message: 'There is no state machine millrace-nightly in eu-west-1.',
    remedy: 'Deploy it: millrace deploy nightly --env prod --apply.',
  });
  deploy({ ...nightly(), fingerprint: 'e'.repeat(64) });
  await expect(start(nightly())).rejects.toMatchObject({
    code: 'PLAN_CHANGED',
    remedy: expect.stringContaining('millrace deploy nightly'),
  });
  expect(await executor.list()).toEqual([]);

  deploy(nightly());
  server.fake.fail('StartExecution', new AwsFault('AccessDeniedException', 'not authorized to perform: states:StartExecution'));
  await expect(start(nightly())).rejects.toMatchObject({ code: 'ACCESS_DENIED', remedy: expect.stringContaining('states:StartExecution') });
  expect(await executor.list()).toMatchObject([{ state: { at: 'cancelled' } }]);
});

test('a task that never begins fails its stage, with what ECS says', async () => {
  tasks['a'] = () => 'never begins';
  const { run, stages } = await ended(deploy(nightly()));
  expect(run.state).toMatchObject({ at: 'failed', error: { code: 'REMOTE_FAILED', message: expect.stringContaining('exit code 1') } });
  expect(states({ stages })).toEqual({ a: 'failed', glue: 'skipped', b: 'skipped' });
});

test('cancelling stops the execution and what it does', async () => {
  const of = deploy(plan({ id: 'a' }, { id: 'glue' }, { id: 'c', needs: ['a', 'glue'] }));
  tasks['a'] = () => 'goes on';
  services['glue'] = () => new Promise(() => {}) as unknown as Json;
  const { run } = await start(of);
  await vi.waitFor(
    async () => expect(states(await executor.show(run.id))).toEqual({ a: 'running', glue: 'elsewhere', c: 'waiting' }),
    patient,
  );
  await executor.cancel(run.id);
  expect(server.status(run.id)).toBe('ABORTED');
  expect((await executor.finished(run.id)).state.at).toBe('cancelled');
});

test('an execution that was stopped in the console is a run that was cancelled', async () => {
  tasks['a'] = () => 'goes on';
  const { run } = await start(deploy(nightly()));
  await vi.waitFor(() => expect(askedOf()).toEqual(['a']), patient);
  server.stop(run.id);
  expect((await executor.finished(run.id, { signal: AbortSignal.timeout(20_000) })).state.at).toBe('cancelled');
});

test('an execution that failed is redriven: what is done stays done', async () => {
  const of = deploy(nightly());
  let tries = 0;
  tasks['b'] = () => (tries++ === 0 ? 'STATEMENT_FAILED' : 'succeeds');
  const { run } = await ended(of);
  expect(run.state.at).toBe('failed');
  await executor.retry(run.id);
  expect((await executor.finished(run.id)).state.at).toBe('succeeded');
  expect(server.fake.called('RedriveExecution')).toHaveLength(1);
  expect(askedOf()).toEqual(['a', 'glue', 'b', 'b']);
});

test('a native stage that failed is done again by a redrive', async () => {
  const of = deploy(nightly());
  let tries = 0;
  services['glue'] = () => {
    if (tries++ === 0) throw failure('States.TaskFailed', 'no');
    return { Id: 'jr_2', JobRunState: 'SUCCEEDED' };
  };
  const { run } = await ended(of);
  await executor.retry(run.id);
  expect((await executor.finished(run.id, { signal: AbortSignal.timeout(20_000) })).state.at).toBe('succeeded');
  expect((await executor.show(run.id)).stages[1]?.attempts.map(({ result }) => result)).toEqual(['failed', 'succeeded']);
});

test('where a redrive would lead nowhere, a second execution does what is left', async () => {
  const of = deploy(plan({ id: 'glue' }, { id: 'a', needs: ['glue'], onFailure: 'continue' }, { id: 'b', needs: ['a'] }));
  let tries = 0;
  tasks['a'] = () => (tries++ === 0 ? 'STATEMENT_FAILED' : 'succeeds');
  const { run } = await ended(of);
  expect(run.state.at).toBe('partial');
  await executor.retry(run.id);
  expect((await executor.finished(run.id, { signal: AbortSignal.timeout(20_000) })).state.at).toBe('succeeded');
  expect(server.fake.called('RedriveExecution')).toHaveLength(0);
  const second = server.fake.called('StartExecution')[1];
  expect(second.name).toBe(`${run.id}-2`);
  expect(JSON.parse(second.input)).toMatchObject({ run: run.id, execution: `${run.id}-2`, done: { glue: true }, reopened: 1 });
  expect(askedOf()).toEqual(['glue', 'a', 'a', 'b']);
});

test('two who have a run go on at once have its machine go on once', async () => {
  const of = deploy(nightly());
  let tries = 0;
  tasks['b'] = () => (tries++ === 0 ? 'STATEMENT_FAILED' : 'succeeds');
  const { run } = await ended(of);
  using service = await stepFunctionsService(settings.region);
  const [reached, told] = [gate(), gate()];
  const slow = await stepFunctionsExecutor({
    store,
    views: runViews(store),
    settings,
    environment: 'prod',
    service: {
      ...service,
      async redrive(execution, token) {
        reached.open();
        await told.opened;
        return service.redrive(execution, token);
      },
    },
  });
  // The record is open again, and its machine has not been asked yet.
  const first = slow.retry(run.id);
  await reached.opened;
  await executor.retry(run.id);
  expect((await executor.finished(run.id)).state.at).toBe('succeeded');
  told.open();
  await first;
  expect(server.fake.called('StartExecution')).toHaveLength(1);
  expect(askedOf()).toEqual(['a', 'glue', 'b', 'b']);
});

test('a run whose version is not deployed any more stays as it is', async () => {
  const of = deploy(plan({ id: 'a', onFailure: 'continue' }));
  tasks['a'] = () => 'STATEMENT_FAILED';
  const { run } = await ended(of);
  deploy({ ...of, fingerprint: 'e'.repeat(64) });
  await expect(executor.retry(run.id)).rejects.toMatchObject({ code: 'PLAN_CHANGED' });
  expect((await store.read(run.id)).state.at).toBe('partial');
});

test('an execution that was redriven in the console is a run that goes on, before any task of ours has come', async () => {
  const of = deploy(nightly());
  const done = gate();
  let tries = 0;
  services['glue'] = () => {
    if (tries++ === 0) throw failure('States.TaskFailed', 'no');
    return done.opened.then(() => ({ Id: 'jr_2', JobRunState: 'SUCCEEDED' })) as unknown as Json;
  };
  const { run } = await ended(of);
  using service = await stepFunctionsService(settings.region);
  const machine = (await service.machine('millrace-nightly')) as string;
  await service.redrive(`${machine.replace(':stateMachine:', ':execution:')}:${run.id}`, 'by hand');
  await vi.waitFor(async () => expect(states(await executor.show(run.id))).toEqual({ a: 'succeeded', glue: 'elsewhere', b: 'waiting' }));
  done.open();
  expect((await executor.finished(run.id, { signal: AbortSignal.timeout(20_000) })).state.at).toBe('succeeded');
  expect((await executor.show(run.id)).stages[1]?.attempts.map(({ result }) => result)).toEqual(['failed', 'succeeded']);
});

test('from a stage on, all of it is done again, whoever does it', async () => {
  const of = deploy(nightly());
  const { run } = await ended(of);
  await executor.retry(run.id, { from: 'glue' });
  expect((await executor.finished(run.id, { signal: AbortSignal.timeout(20_000) })).state.at).toBe('succeeded');
  expect(askedOf()).toEqual(['a', 'glue', 'b', 'a', 'glue', 'b']);
  expect((await executor.show(run.id)).stages.map(({ attempts }) => attempts.length)).toEqual([1, 2, 2]);
});

test('what was to be done again is so also where the execution for it was refused', async () => {
  const of = deploy(nightly());
  const { run } = await ended(of);
  server.fake.fail('StartExecution', new AwsFault('AccessDeniedException', 'no'));
  await expect(executor.retry(run.id, { from: 'glue' })).rejects.toMatchObject({ code: 'ACCESS_DENIED' });
  await executor.retry(run.id);
  expect((await executor.finished(run.id, { signal: AbortSignal.timeout(20_000) })).state.at).toBe('succeeded');
  expect(askedOf()).toEqual(['a', 'glue', 'b', 'a', 'glue', 'b']);
});

test('native work that nobody saw succeed is not done again by a second execution, but from its stage on', async () => {
  const of = deploy(plan({ id: 'a' }, { id: 'glue' }, { id: 'b', needs: ['a'] }, { id: 'c', needs: ['b', 'glue'] }));
  let tries = 0;
  services['glue'] = () => ({ Id: 'jr_1', JobRunState: 'SUCCEEDED' });
  tasks['b'] = () => (tries++ === 0 ? 'STATEMENT_FAILED' : 'succeeds');
  const { id: name } = (await start(of)).run;
  await vi.waitFor(() => expect(server.status(name)).toBe('FAILED'), patient);
  expect(states({ stages: [...(await store.read(name)).stages].map(([id, { state }]) => ({ id, state })) })).toMatchObject({
    glue: 'skipped',
  });
  await executor.retry(name, { from: 'a' });
  expect((await executor.finished(name, { signal: AbortSignal.timeout(20_000) })).state.at).toBe('succeeded');
  expect(JSON.parse(server.fake.called('StartExecution')[1].input)).toMatchObject({ run: name, done: { glue: true }, reopened: 1 });
  expect(askedOf().filter((stage) => stage === 'glue')).toHaveLength(1);
  expect((await executor.show(name)).stages[1]?.state).toMatchObject({ at: 'succeeded', output: { handle: { id: 'jr_1' } } });
  await executor.retry(name, { from: 'glue' });
  expect((await executor.finished(name, { signal: AbortSignal.timeout(20_000) })).state.at).toBe('succeeded');
  expect(askedOf().filter((stage) => stage === 'glue')).toHaveLength(2);
});

test('an execution that is made of the input of a second one does nothing, and is nobody of its run', async () => {
  const of = deploy(nightly());
  const { run } = await ended(of);
  await executor.retry(run.id, { from: 'glue' });
  await executor.finished(run.id, { signal: AbortSignal.timeout(20_000) });
  const copy = JSON.parse(server.fake.called('StartExecution')[1].input);
  const name = server.startAs('millrace-nightly', copy);
  await vi.waitFor(() => expect([server.status(name), server.error(name)]).toEqual(['FAILED', 'CONFIG_INVALID']), patient);
  expect(askedOf()).toEqual(['a', 'glue', 'b', 'a', 'glue', 'b']);
});

test('stages that are not selected are not asked for where they are native, and find it in the record elsewhere', async () => {
  const { run, stages } = await ended(deploy(nightly()), { only: ['b'] });
  expect(run.state.at).toBe('succeeded');
  expect(states({ stages })).toEqual({ a: 'skipped', glue: 'skipped', b: 'succeeded' });
  expect(askedOf()).toEqual(['a', 'b']);
});

test('native work in parts of a machine is recorded as well', async () => {
  const of = plan({ id: 'a' }, { id: 'glue', needs: ['a'] }, { id: 'sns', needs: ['glue'] });
  const machines = compileStateMachines(of, settings, { events: 16, bytes: 900_000 });
  expect(machines.others.filter(({ states }) => states.size > 0).length).toBeGreaterThan(0);
  server.deploy(templateOf(of, machines, settings));
  using service = await stepFunctionsService(settings.region);
  const { run } = await store.create({ id: 'in-parts', request: requestFor(of.pipeline), plan: of, queue: stepFunctionsQueue });
  await service.start((await service.machine(machines.main.name)) as string, run.id, { time: '2026-03-29T00:00:00Z' });
  const settler = new Settler({ store, service, settings, machinesOf: () => machines });
  await vi.waitFor(async () => {
    await settler.settle(run.id);
    expect((await store.read(run.id)).state.at).toBe('succeeded');
  }, patient);
  expect((await store.attempts(run.id)).map(({ stage, result }) => [stage, result])).toEqual([
    ['a', 'succeeded'],
    ['glue', 'succeeded'],
    ['sns', 'succeeded'],
  ]);
});
