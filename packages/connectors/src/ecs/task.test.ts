import { run } from '@millrace/core';
import { remoteTaskConformance, testContext } from '@millrace/core/testing';
import { describe, expect, test } from 'vitest';
import { AwsFault, awsFake } from '../../../../test/aws-fake.ts';
import { fixtureOf, outputOf, remoteOf } from '../../test/remote.ts';
import { ecs } from './index.ts';

const context = testContext();
const network = { subnets: ['subnet-1'], securityGroups: ['sg-1'] };

/** ECS with one cluster, which honours client tokens and tells tasks from the look after `hiddenFor` others on. */
async function fakeEcs({ hiddenFor = 0, failures = [] as { reason: string; detail?: string }[] } = {}) {
  // biome-ignore lint/suspicious/noExplicitAny: a task as the API has it.
  const tasks: any[] = [];
  let looks = 0;
  const visible = () => (looks++ < hiddenFor ? [] : tasks);
  const fake = await awsFake({
    RunTask({ clientToken, startedBy, taskDefinition }) {
      if (failures.length > 0) return { tasks: [], failures };
      let task = tasks.find((one) => one.clientToken === clientToken);
      if (!task) {
        const taskArn = `arn:aws:ecs:eu-west-1:123456789012:task/etl/${tasks.length + 1}`;
        task = { taskArn, clientToken, startedBy, taskDefinitionArn: taskDefinition, lastStatus: 'PROVISIONING' };
        tasks.push(task);
      }
      return { tasks: [task], failures: [] };
    },
    ListTasks: ({ startedBy, desiredStatus }) => ({
      taskArns: visible()
        .filter((one) => one.startedBy === startedBy && (one.lastStatus === 'STOPPED') === (desiredStatus === 'STOPPED'))
        .map(({ taskArn }) => taskArn),
    }),
    DescribeTasks: ({ tasks: arns }) => ({ tasks: visible().filter(({ taskArn }) => arns.includes(taskArn)), failures: [] }),
    StopTask({ task }) {
      const found = tasks.find(({ taskArn }) => taskArn === task);
      if (!found) throw new AwsFault('InvalidParameterException', 'The referenced task was not found.');
      if (found.lastStatus !== 'STOPPED')
        Object.assign(found, { lastStatus: 'STOPPED', stopCode: 'UserInitiated', stoppedReason: 'Cancelled by Millrace' });
      return { task: found };
    },
  });
  const step = ecs({ ...fake.settings, cluster: 'etl', network }).task('report:7', {
    container: 'main',
    command: ['build', '2026-03-29'],
    environment: { MODE: 'full' },
  });
  return { fake, tasks, ...remoteOf(step), [Symbol.asyncDispose]: () => fake[Symbol.asyncDispose]() };
}

test('a task is run with the parameters of the API and a token', async () => {
  await using world = await fakeEcs();
  const handle = await world.task.start(world.request(), context);
  expect(world.fake.called('RunTask')).toEqual([
    {
      cluster: 'etl',
      taskDefinition: 'report:7',
      launchType: 'FARGATE',
      networkConfiguration: { awsvpcConfiguration: { subnets: ['subnet-1'], securityGroups: ['sg-1'], assignPublicIp: 'DISABLED' } },
      overrides: {
        containerOverrides: [{ name: 'main', command: ['build', '2026-03-29'], environment: [{ name: 'MODE', value: 'full' }] }],
      },
      count: 1,
      clientToken: 'run-1-stage-1',
      startedBy: 'millrace/run-1-stage-1',
    },
  ]);
  expect(handle.link).toBe('https://eu-west-1.console.aws.amazon.com/ecs/v2/clusters/etl/tasks/1/configuration?region=eu-west-1');
  expect(await world.task.poll(handle, context)).toEqual({ at: 'running', status: 'PROVISIONING', progress: null });
});

test('a step has the parameters of a state machine', () => {
  const connection = ecs({ cluster: 'etl', network });
  const step = connection.task('report', { container: 'main', command: [run.date], capacityProviders: [{ provider: 'FARGATE_SPOT' }] });
  expect(step.work).toMatchObject({
    parameters: {
      Cluster: 'etl',
      TaskDefinition: 'report',
      CapacityProviderStrategy: [{ CapacityProvider: 'FARGATE_SPOT', Weight: 1, Base: 0 }],
      Overrides: { ContainerOverrides: [{ Name: 'main', Command: [run.date] }] },
    },
    task: { description: { service: 'ecs', action: 'RunTask', starts: 'once', facts: { native: true, container: 'main' } } },
  });
  expect(step.work).not.toHaveProperty('parameters.LaunchType');
});

test('what ECS would refuse is refused before', () => {
  const connection = ecs({ cluster: 'etl' });
  expect(() => connection.task('report', { command: ['x'] })).toThrow(/needs the container/);
  expect(() => connection.task('report', { container: 'main', command: ['x'.repeat(9_000)] })).toThrow(/8192 characters/);
});

test('a start whose answer is lost is one start', async () => {
  await using world = await fakeEcs();
  world.fake.cut('RunTask');
  await expect(world.task.start(world.request(), context)).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  expect(world.tasks).toHaveLength(1);
  expect(await world.task.adopt(world.request(), context)).toMatchObject({ id: world.tasks[0].taskArn });
  expect(await world.task.start(world.request(), context)).toMatchObject({ id: world.tasks[0].taskArn });
  expect(world.tasks).toHaveLength(1);
  expect(await world.task.adopt(world.request('another'), context)).toBeNull();
});

test('a task that has ended meanwhile is found again', async () => {
  await using world = await fakeEcs();
  const handle = await world.task.start(world.request(), context);
  world.tasks[0].lastStatus = 'STOPPED';
  expect(await world.task.adopt(world.request(), context)).toMatchObject({ id: handle.id });
});

test('a task that ECS does not tell yet is provisioning, one that it has forgotten has failed', async () => {
  await using world = await fakeEcs({ hiddenFor: 2 });
  const handle = await world.task.start(world.request(), context);
  expect(await world.task.poll(handle, context)).toMatchObject({ at: 'running' });
  const later = testContext({ now: () => new Date(Date.now() + 7_200_000) });
  expect(await world.task.poll(handle, later)).toMatchObject({ at: 'failed', again: false, reason: expect.stringContaining('forgets') });
});

test('a task is stopped, and one that has ended is left', async () => {
  await using world = await fakeEcs();
  const handle = await world.task.start(world.request(), context);
  await world.task.cancel(handle, context);
  expect(await world.task.poll(handle, context)).toMatchObject({ at: 'failed', again: true });
  world.tasks.length = 0;
  await world.task.cancel(handle, context);
});

describe('every end of a task has a meaning', () => {
  const main = (more: object) => [{ name: 'main', ...more }];
  test.each([
    ['an exit with 0', { stopCode: 'EssentialContainerExited', containers: main({ exitCode: 0 }) }, { at: 'succeeded' }],
    [
      'an exit of a sidecar by a signal',
      { stopCode: 'EssentialContainerExited', containers: [...main({ exitCode: 0 }), { name: 'proxy', exitCode: 137 }] },
      { at: 'succeeded' },
    ],
    [
      'an exit with 3',
      { stopCode: 'EssentialContainerExited', stoppedReason: 'Essential container in task exited', containers: main({ exitCode: 3 }) },
      { at: 'failed', again: false, reason: 'Essential container in task exited (container main exited with 3)' },
    ],
    [
      'no memory',
      {
        stopCode: 'EssentialContainerExited',
        containers: main({ exitCode: 137, reason: 'OutOfMemoryError: Container killed due to memory usage' }),
      },
      { at: 'failed', again: false, reason: expect.stringContaining('OutOfMemoryError') },
    ],
    ['Spot', { stopCode: 'SpotInterruption', stoppedReason: 'Your Spot Task was interrupted.' }, { at: 'failed', again: true }],
    ['a notice of termination', { stopCode: 'TerminationNotice' }, { at: 'failed', again: true }],
    ['somebody', { stopCode: 'UserInitiated', stoppedReason: 'Task stopped by operator' }, { at: 'failed', again: true }],
    ['the scheduler', { stopCode: 'ServiceSchedulerInitiated' }, { at: 'failed', again: true }],
    [
      'an image that is not there',
      {
        stopCode: 'TaskFailedToStart',
        stoppedReason: 'CannotPullContainerError: pull image manifest has been retried 1 time(s): not found',
      },
      { at: 'failed', again: false },
    ],
    [
      'a registry that did not answer',
      { stopCode: 'TaskFailedToStart', stoppedReason: 'CannotPullContainerError: ref pull: dial tcp 10.0.0.1:443: i/o timeout' },
      { at: 'failed', again: true },
    ],
    [
      'a secret that may not be read',
      { stopCode: 'TaskFailedToStart', stoppedReason: 'ResourceInitializationError: unable to pull secrets: AccessDeniedException' },
      { at: 'failed', again: false },
    ],
    [
      'no capacity',
      { stopCode: 'TaskFailedToStart', stoppedReason: 'Capacity is unavailable at this time. Please try again later' },
      { at: 'failed', again: true },
    ],
    ['a machine that went', { stoppedReason: 'Host EC2 (instance i-1) terminated.', containers: main({}) }, { at: 'failed', again: true }],
  ])('%s', async (_, end, state) => {
    await using world = await fakeEcs();
    const handle = await world.task.start(world.request(), context);
    Object.assign(world.tasks[0], { lastStatus: 'STOPPED', ...end });
    expect(await world.task.poll(handle, context)).toMatchObject(state);
  });

  test('with how long it took', async () => {
    await using world = await fakeEcs();
    const handle = await world.task.start(world.request(), context);
    Object.assign(world.tasks[0], {
      lastStatus: 'STOPPED',
      stopCode: 'EssentialContainerExited',
      containers: main({ exitCode: 0 }),
      startedAt: new Date('2026-03-29T00:00:00Z'),
      stoppedAt: new Date('2026-03-29T00:01:30Z'),
    });
    expect(outputOf(await world.task.poll(handle, context))).toEqual({ exitCodes: { main: 0 }, seconds: 90 });
  });
});

describe('a task that was not placed', () => {
  test.each([
    ['RESOURCE:MEMORY', 'REMOTE_UNAVAILABLE'],
    ['RESOURCE:ENI', 'REMOTE_UNAVAILABLE'],
    ['AGENT', 'REMOTE_UNAVAILABLE'],
    ['EMPTY CAPACITY PROVIDER', 'REMOTE_UNAVAILABLE'],
    ['Capacity is unavailable at this time. Please try again later or in a different availability zone', 'REMOTE_UNAVAILABLE'],
    ["You've reached the limit on the number of vCPUs you can run concurrently", 'REMOTE_UNAVAILABLE'],
    ['ATTRIBUTE', 'REMOTE_REFUSED'],
    ['MISSING', 'REMOTE_REFUSED'],
    ['INACTIVE', 'REMOTE_REFUSED'],
  ])('%s', async (reason, code) => {
    await using world = await fakeEcs({ failures: [{ reason }] });
    await expect(world.task.start(world.request(), context)).rejects.toMatchObject({ code, message: expect.stringContaining(reason) });
  });
});

describe('what ECS says of a start', () => {
  test.each([
    ['ThrottlingException', 400, 'REMOTE_THROTTLED'],
    ['ServerException', 500, 'REMOTE_UNAVAILABLE'],
    ['ClusterNotFoundException', 400, 'REMOTE_REFUSED'],
    ['InvalidParameterException', 400, 'REMOTE_REFUSED'],
    ['AccessDeniedException', 400, 'ACCESS_DENIED'],
  ])('%s', async (name, status, code) => {
    await using world = await fakeEcs();
    world.fake.fail('RunTask', new AwsFault(name, 'no', status));
    await expect(world.task.start(world.request(), context)).rejects.toMatchObject({ code });
  });
});

describe('a task is watched as all work elsewhere is', () => {
  remoteTaskConformance(test, async () => {
    const world = await fakeEcs();
    const end = (stopCode: string, exitCode?: number) => () =>
      void Object.assign(world.tasks.at(-1), {
        lastStatus: 'STOPPED',
        stopCode,
        containers: [{ name: 'main', ...(exitCode !== undefined && { exitCode }) }],
      });
    return fixtureOf(world, {
      start: 'RunTask',
      poll: 'DescribeTasks',
      works: () => world.tasks.length,
      end: {
        succeeded: end('EssentialContainerExited', 0),
        failed: end('EssentialContainerExited', 1),
        interrupted: end('SpotInterruption'),
      },
      forget: () => void world.tasks.pop(),
    });
  });
});
