import type { HistoryEvent } from '@aws-sdk/client-sfn';
import { decide, machineReached, memoryStore, type RunStore, stepFunctionsQueue } from '@millrace/core/runtime';
import { requestFor } from '@millrace/core/testing';
import { beforeEach, expect, test } from 'vitest';
import { remotes } from '../../test/everything.ts';
import { planOf, settings } from '../../test/plans.ts';
import { compileStateMachines } from '../compile.ts';
import { executionArn } from './executions.ts';
import type { Execution, StepFunctionsService } from './service.ts';
import { Settler } from './settle.ts';

const machine = 'arn:aws:states:eu-west-1:123456789012:stateMachine:millrace-nightly';
const plan = planOf([{ id: 'a' }, { id: 'glue', needs: ['a'] }], { steps: remotes });
const machines = compileStateMachines(plan, settings);

let store: RunStore;
let settler: Settler;
let executions: Map<string, Execution>;
let histories: Map<string, HistoryEvent[]>;

beforeEach(async () => {
  [store, executions, histories] = [memoryStore(), new Map(), new Map()];
  await store.create({ id: 'r', request: requestFor('nightly'), plan, queue: stepFunctionsQueue });
  const service = {
    machine: async () => machine,
    execution: async (arn: string) => executions.get(arn) ?? null,
    history: async (arn: string, after: number) => (histories.get(arn) ?? []).filter(({ id = 0 }) => id > after),
  } as unknown as StepFunctionsService;
  settler = new Settler({ store, service, settings, machinesOf: () => machines });
});

function there(name: string, more: Partial<Execution>, events: readonly Partial<HistoryEvent>[] = []): void {
  const arn = executionArn(machine, name);
  executions.set(arn, { arn, status: 'RUNNING', input: {}, error: null, cause: null, redriveCount: 0, redrivable: false, ...more });
  histories.set(
    arn,
    events.map((event, at) => ({ timestamp: new Date(0), id: at + 1, previousEventId: at, type: 'TaskScheduled', ...event })),
  );
}
const entered = (name: string): Partial<HistoryEvent> => ({ type: 'TaskStateEntered', stateEnteredEventDetails: { name } });
const failed = (error: string, cause: string): Partial<HistoryEvent> => ({
  type: 'TaskFailed',
  taskFailedEventDetails: { resourceType: 'x', resource: 'x', error, cause },
});
const reached = (stage: string) => store.transition('r', (run, now) => machineReached(run, stage, new Set(), now));
const reopen = () => store.transition('r', (run, now) => decide(run, { type: 'reopen', from: [], by: 'execution' }, now));
const record = () => store.read('r');
const reopenings = async () => (await store.events('r', 0, 500)).filter(({ event }) => event.type === 'run.reopened').length;

test('what one execution has failed with is not said of the next one', async () => {
  there('r', { status: 'FAILED', error: 'States.TaskFailed' }, [entered('a'), {}, failed('States.TaskFailed', 'no capacity')]);
  await settler.settle('r');
  expect((await record()).state).toMatchObject({ at: 'failed', error: { message: expect.stringContaining('no capacity') } });

  await reopen();
  there('r-2', { status: 'TIMED_OUT', input: { run: 'r', execution: 'r-2', reopened: 1 } });
  await settler.settle('r');
  expect((await record()).state).toMatchObject({ at: 'failed', error: { message: expect.stringContaining('TIMED_OUT') } });
  expect((await record()).state).not.toMatchObject({ error: { message: expect.stringContaining('no capacity') } });
});

test('a run goes on when somebody has redriven its execution, whether it had ended in the record or not', async () => {
  const began = [entered('a'), {}, failed('States.TaskFailed', 'no capacity')];
  there('r', { status: 'FAILED', error: 'States.TaskFailed' }, began);
  await settler.settle('r');
  there('r', { redriveCount: 1 }, [...began, { type: 'ExecutionRedriven' }]);
  expect(await settler.settle('r')).toEqual({ changed: true, because: null });
  expect([(await record()).state.at, await reopenings()]).toEqual(['running', 1]);
  expect(await settler.settle('r')).toEqual({ changed: false, because: null });

  // Nobody has looked between the second failure and the second redrive.
  there('r', { redriveCount: 2 }, [...began, { type: 'ExecutionRedriven' }]);
  await settler.settle('r');
  expect([(await record()).state.at, await reopenings()]).toEqual(['running', 2]);
  expect((await record()).stages.get('a')).toMatchObject({ state: { at: 'ready' }, attempts: 0 });

  there('r', { redriveCount: 3, status: 'FAILED', error: 'Oops' }, [...began, { type: 'ExecutionRedriven' }]);
  await settler.settle('r');
  expect([(await record()).state, await reopenings()]).toMatchObject([
    { at: 'failed', error: { message: expect.stringContaining('Oops') } },
    3,
  ]);
});

test('an attempt of before a redrive is asked to stop, and nothing is read until it has', async () => {
  await store.register({ id: 'w', label: 'w', leaseMs: 60_000, queue: stepFunctionsQueue });
  await reached('a');
  await store.transition('r', (run, now) => decide(run, { type: 'claim', stage: 'a', worker: 'w' }, now));
  there('r', { redriveCount: 1 }, [{ type: 'ExecutionRedriven' }, entered('glue'), {}]);
  await settler.settle('r');
  expect(await record()).toMatchObject({ state: { at: 'running' }, cancelRequestedAt: expect.any(String) });
  await store.transition('r', (run, now) => decide(run, { type: 'release', stage: 'a', epoch: 1 }, now));
  await settler.settle('r');
  expect([(await record()).cancelRequestedAt, await reopenings()]).toEqual([null, 1]);
});
