import { describe, expect, test } from 'vitest';
import { remotes } from '../../test/everything.ts';
import { failure, interpret } from '../../test/interpreter.ts';
import { planOf, remoteStep, settings } from '../../test/plans.ts';
import type { Task } from '../asl.ts';
import { compileStateMachines } from '../compile.ts';

const topic = 'arn:aws:sns:eu-west-1:123456789012:done';
const retry = { attempts: 3, delayMs: 1000, maxDelayMs: 60_000 };

test('a notice to a FIFO topic that is published again is the same one, and another of another run or stage', async () => {
  const parameters = { TopicArn: `${topic}.fifo`, Message: 'done', MessageGroupId: 'millrace' };
  const facts = { native: true, fifo: true };
  const steps = ["it's done", 'told'].map((name) => remoteStep(name, { service: 'sns', action: 'Publish', facts, parameters }));
  const machines = compileStateMachines(
    planOf(
      steps.map(({ name }) => ({ id: name, retry })),
      { steps },
    ),
    settings,
  );
  const ids: string[] = [];
  let refusals = 0;
  for (const run of ['run-1', 'run-2']) {
    const { error } = await interpret(
      machines,
      ({ call, parameters: asked }) => {
        expect(call).toBe('sns:publish');
        ids.push(String(asked['MessageDeduplicationId']));
        if (refusals++ === 0) throw Object.assign(new Error('no'), { name: 'SNS.ThrottledException' });
        return {};
      },
      {},
      run,
    );
    expect(error).toBeNull();
  }
  expect(ids).toHaveLength(5);
  expect(new Set(ids).size).toBe(4);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{64}$/);
});

test('a task definition that is named without its revision may be started in the newest', () => {
  const arn = 'arn:aws:ecs:eu-west-1:123456789012:task-definition/report';
  const granted = (TaskDefinition: string) => {
    const steps = [remoteStep('report', { service: 'ecs', action: 'RunTask', parameters: { TaskDefinition } })];
    const { grants } = compileStateMachines(planOf([{ id: 'report' }], { steps }), settings);
    return grants.find(({ actions }) => actions.includes('ecs:RunTask'))?.resources;
  };
  expect([arn, `${arn}:3`].map(granted)).toEqual([[`${arn}:*`], [`${arn}:3`]]);
  const own = 'arn:${Partition}:ecs:${Region}:${Account}:task-definition';
  expect(['report', 'report:3'].map(granted)).toEqual([[`${own}/report:*`], [`${own}/report:3`]]);
});

test('one to another topic has no such id', async () => {
  const facts = { native: true, fifo: false };
  const steps = [remoteStep('told', { service: 'sns', action: 'Publish', facts, parameters: { TopicArn: topic, Message: 'done' } })];
  await interpret(compileStateMachines(planOf([{ id: 'told' }], { steps }), settings), ({ parameters: asked }) => {
    expect(asked).toEqual({ TopicArn: topic, Message: 'done' });
    return {};
  });
});

const only = (name: string, stage: object = {}) =>
  planOf([{ id: name, retry, ...stage }], { steps: remotes.filter((step) => step.name === name), params: { country: 'FR' } });

describe('what a service says of a call decides whether it is made again', () => {
  test.each([
    ['glue', 'Glue.AWSGlueException', 3],
    ['glue', 'Glue.ConcurrentRunsExceededException', 3],
    // It may have been a start.
    ['glue', 'Glue.SdkClientException', 1],
    ['glue', 'Glue.EntityNotFoundException', 1],
    // Step Functions ends the job, and the task, where their state has timed out.
    ['glue', 'States.Timeout', 3],
    ['ecs', 'States.Timeout', 3],
    ['ecs', 'ECS.AmazonECSException', 3],
    ['ecs', 'ECS.InvalidParameterException', 3],
    ['ecs', 'AmazonECS.Unknown', 3],
    ['ecs', 'ECS.SdkClientException', 1],
    ['ecs', 'ECS.ClusterNotFoundException', 1],
    ['lambda', 'Lambda.TooManyRequestsException', 3],
    ['lambda', 'Lambda.SnapStartNotReadyException', 3],
    // The function's own matter, as on other executors.
    ['lambda', 'Sandbox.Timedout', 1],
    ['events', 'EventBridge.AmazonEventBridgeException', 3],
    ['events', 'EventBridge.FailedEntry', 3],
    ['sns', 'SNS.AmazonSNSException', 3],
    ['aurora', 'RdsData.DatabaseResumingException', 3],
    ['aurora', 'RdsData.RdsDataException', 3],
    // These go on when nobody waits for them any more.
    ['lambda', 'States.Timeout', 1],
    ['events', 'States.Timeout', 1],
    ['sns', 'States.Timeout', 1],
    ['aurora', 'States.Timeout', 1],
  ])('%s, %s: %d', async (name, error, calls) => {
    let made = 0;
    await interpret(compileStateMachines(only(name), settings), () => {
      made++;
      throw failure(error);
    });
    expect(made).toBe(calls);
  });

  test('a machine that watches a replication is started again where there were too many, and not where its time was over', () => {
    const { main } = compileStateMachines(only('dms', { timeoutMs: 60_000 }), settings);
    const { Retry = [], TimeoutSeconds } = main.definition.States['dms'] as Task;
    const errors = Retry.flatMap(({ ErrorEquals }) => ErrorEquals);
    expect(TimeoutSeconds).toBe(60);
    expect(errors).toEqual(
      expect.arrayContaining(['StepFunctions.ExecutionLimitExceeded', 'StepFunctions.ExecutionLimitExceededException']),
    );
    expect(errors).not.toContain('States.Timeout');
  });
});

test('of a Glue job the state keeps how it has ended, whatever Glue tells of it', async () => {
  const job = { Id: 'jr_1', JobRunState: 'SUCCEEDED', JobName: 'sales', Arguments: { '--text': 'x'.repeat(10_000) }, PredecessorRuns: [] };
  const { output } = await interpret(compileStateMachines(only('glue'), settings), () => job);
  expect(output).toMatchObject({ job: { JobRunState: 'SUCCEEDED' } });
  expect(JSON.stringify(output).length).toBeLessThan(500);
});

test('of a task the state keeps nothing', async () => {
  const { output } = await interpret(compileStateMachines(only('ecs'), settings), () => ({
    TaskArn: 'x',
    Containers: ['y'.repeat(10_000)],
  }));
  expect(JSON.stringify(output).length).toBeLessThan(500);
});

test.each([
  ['glue', /at least once here/],
  ['ecs', /at least once here/],
  ['dms', null],
])('of %s it is told whether a start may be made twice', (name, told) => {
  const said = compileStateMachines(only(name), settings).remarks.filter(({ step }) => step === name);
  expect(said.map(({ message }) => message).join()).toMatch(told ?? /^$/);
});
