import { decide, memoryStore, type RunRecord, type RunStore, stepFunctionsQueue } from '@millrace/core/runtime';
import { requestFor } from '@millrace/core/testing';
import { beforeEach, expect, test } from 'vitest';
import { planOf, settings } from '../../test/plans.ts';
import { deployments } from './deployments.ts';
import { executionArn, executionName, isCurrent, newestExecution } from './executions.ts';
import { launch } from './launch.ts';
import type { Execution, StepFunctionsService } from './service.ts';

const machine = 'arn:aws:states:eu-west-1:123456789012:stateMachine:millrace-nightly';
const plan = planOf([{ id: 'a' }]);

/** What the account has, by name; told or not. */
let executions: Map<string, Execution>;
let unseen: Set<string>;
let store: RunStore;
let run: RunRecord;
const service = {
  execution: async (arn: string) => (unseen.has(arn) ? null : (executions.get(arn) ?? null)),
  start: async (of: string, name: string, input: Execution['input']) => {
    const arn = executionArn(of, name);
    if (executions.has(arn)) return false;
    executions.set(arn, { ...there(name), status: 'RUNNING', input });
    return true;
  },
  stop: async (arn: string) => {
    executions.set(arn, { ...(executions.get(arn) as Execution), status: 'ABORTED' });
  },
} as unknown as StepFunctionsService;
const options = () => ({ store, service, deployments: deployments({ service, settings, environment: 'prod' }) });

function there(name: string, more: Partial<Execution> = {}): Execution {
  const arn = executionArn(machine, name);
  const made: Execution = { arn, status: 'FAILED', input: {}, error: null, cause: null, redriveCount: 0, redrivable: true, ...more };
  executions.set(arn, made);
  return made;
}

beforeEach(async () => {
  [executions, unseen, store] = [new Map(), new Set(), memoryStore()];
  ({ run } = await store.create({ id: 'nightly', request: requestFor('nightly'), plan, queue: stepFunctionsQueue }));
  ({ run } = await store.transition(run.id, (record, now) => decide(record, { type: 'admit', rivals: [], limit: 1 }, now)));
});

const names = () => [...executions.keys()].map((arn) => arn.slice(arn.lastIndexOf(':') + 1));

test('whose an execution is says what it was given: those of other runs are passed over', async () => {
  const first = there('nightly');
  there('nightly-2', { status: 'RUNNING', input: { time: '2026-03-29T00:00:00Z' } });
  expect(await newestExecution(service, machine, 'nightly')).toEqual({ execution: first, number: 1, next: 3 });
  const third = there('nightly-3', { input: { execution: 'nightly-3', run: 'nightly', reopened: 1 } });
  // What it was made of says nothing of it.
  there('nightly-4', { input: { execution: 'nightly-3', run: 'nightly', reopened: 1 } });
  expect(await newestExecution(service, machine, 'nightly')).toEqual({ execution: third, number: 3, next: 5 });
  expect(await newestExecution(service, machine, 'nightly', 3)).toEqual({ execution: third, number: 3, next: 5 });
  expect(await newestExecution(service, machine, 'nightly-2')).toMatchObject({ execution: { status: 'RUNNING' }, number: 1, next: 2 });
});

test('one that was redriven when another had followed it is not the newest, and one without a run says its own name', async () => {
  there('nightly', { status: 'RUNNING', redriveCount: 1 });
  const second = there('nightly-2', { input: { execution: 'nightly-2', run: 'nightly', reopened: 1 } });
  expect(await newestExecution(service, machine, 'nightly')).toEqual({ execution: second, number: 2, next: 3 });
  const own = there('by-hand', { input: { execution: 'by-hand' } });
  expect(await newestExecution(service, machine, 'by-hand')).toMatchObject({ execution: own, number: 1 });
});

test.each([
  ['the first one', { redriveCount: 0 }, [], true],
  ['one that was redriven', { redriveCount: 2 }, ['redrive', null], true],
  ['one that was redriven, and the record does not know it yet', { redriveCount: 1 }, [], true],
  ['one that another is to follow', { redriveCount: 0 }, ['execution'], false],
  ['the same, redriven by hand', { redriveCount: 1 }, ['execution'], false],
  ['the same, redriven by hand twice', { redriveCount: 2 }, ['execution', 'redrive'], false],
  ['the one that followed', { input: { reopened: 1 }, redriveCount: 0 }, ['execution'], true],
  ['the one that followed, redriven', { input: { reopened: 1 }, redriveCount: 1 }, ['execution', 'redrive'], true],
] as const)('%s is current or not', (_, more, ways, wanted) => {
  expect(isCurrent(there('nightly', more), { count: ways.length, ways })).toBe(wanted);
});

test('long names that end alike are those of several runs', async () => {
  const [one, two] = ['1', '2'].map((end) => `${'x'.repeat(79)}${end}`) as [string, string];
  expect(executionName(one, 2)).toBe(executionName(two, 2));
  const first = there(one);
  there(executionName(two, 2), { input: { execution: executionName(two, 2), run: two } });
  expect(await newestExecution(service, machine, one)).toEqual({ execution: first, number: 1, next: 3 });
});

test('the next execution has the first name that nobody has', async () => {
  there('nightly');
  there('nightly-2', { input: { execution: 'nightly-2', run: 'other' } });
  there('nightly-3', { input: { execution: 'nightly-3', run: 'nightly' } });
  await launch(options(), run, { machine, number: 2, reopened: 1 });
  expect(names()).toEqual(['nightly', 'nightly-2', 'nightly-3', 'nightly-4']);
  expect(executions.get(executionArn(machine, 'nightly-4'))?.input).toMatchObject({ run: 'nightly', reopened: 1 });
});

test('one that somebody else has started for the same reopening is none to start again, seen or not', async () => {
  there('nightly');
  there('nightly-2', { status: 'RUNNING', input: { execution: 'nightly-2', run: 'nightly', reopened: 1 } });
  await launch(options(), run, { machine, number: 2, reopened: 1 });
  unseen.add(executionArn(machine, 'nightly-2'));
  await expect(launch(options(), run, { machine, number: 2, reopened: 1 })).rejects.toMatchObject({ code: 'RUN_HELD' });
  expect(names()).toEqual(['nightly', 'nightly-2']);
  expect((await store.read('nightly')).state.at).toBe('running');
});

test('a run that is cancelled before its execution is there has none that goes on', async () => {
  await store.transition(run.id, (record, now) => decide(record, { type: 'cancel' }, now));
  await launch(options(), run, { machine, number: 1 });
  expect(executions.get(executionArn(machine, 'nightly'))?.status).toBe('ABORTED');
});
