import { run } from '@millrace/core';
import { remoteTaskConformance, testContext } from '@millrace/core/testing';
import { describe, expect, test } from 'vitest';
import { AwsFault, awsFake, type FakeCall, type LambdaAnswer } from '../../../../test/aws-fake.ts';
import { outputOf, remoteOf } from '../../test/remote.ts';
import { type BatchOptions, type InvokeOptions, lambda } from './index.ts';

const context = testContext();

async function fakeLambda(answer: (input: FakeCall['input']) => LambdaAnswer) {
  const fake = await awsFake({ Invoke: answer });
  const functions = lambda(fake.settings);
  return {
    fake,
    invoke: (options: InvokeOptions) => remoteOf(functions.invoke('refresh', options)),
    send: (options: InvokeOptions) => remoteOf(functions.send('refresh', options)),
    batches: (options: BatchOptions) => remoteOf(functions.batches('refresh', { pauseMs: 1, ...options })),
    [Symbol.asyncDispose]: () => fake[Symbol.asyncDispose](),
  };
}

test('a function is called with its payload and finds the request in its client context', async () => {
  await using world = await fakeLambda(() => ({ payload: { rows: 7 } }));
  const { task, request } = world.invoke({ payload: { date: '2026-03-29' }, qualifier: 'live' });
  const handle = await task.start(request(), context);
  expect(world.fake.called('Invoke')).toEqual([
    {
      FunctionName: 'refresh',
      InvocationType: 'RequestResponse',
      Qualifier: 'live',
      ClientContext: { custom: { 'millrace-request': 'run-1-stage-1' } },
      Payload: { date: '2026-03-29' },
    },
  ]);
  expect(outputOf(await task.poll(handle, context))).toEqual({ answer: { rows: 7 } });
  expect(await task.adopt(request(), context)).toBeNull();
});

test('an event is left with Lambda', async () => {
  await using world = await fakeLambda(() => ({ payload: null }));
  const { task, request } = world.send({ payload: [1] });
  expect(outputOf(await task.poll(await task.start(request(), context), context))).toEqual({ answer: null });
  expect(world.fake.called('Invoke')[0]).toMatchObject({ InvocationType: 'Event', ClientContext: null, Payload: [1] });
});

test('a long answer is not kept with the run', async () => {
  await using world = await fakeLambda(() => ({ payload: 'x'.repeat(5_000) }));
  const { task, request } = world.invoke({});
  expect(outputOf(await task.poll(await task.start(request(), context), context))).toEqual({ answerBytes: 5_002 });
});

test('a step says what a state machine needs, and that it may happen twice', () => {
  expect(lambda().invoke('refresh', { payload: { date: run.date } }).work).toMatchObject({
    parameters: { FunctionName: 'refresh', InvocationType: 'RequestResponse', Payload: { date: run.date } },
    task: {
      description: {
        service: 'lambda',
        action: 'Invoke',
        starts: 'at-least-once',
        watched: false,
        facts: { native: true, invocation: 'RequestResponse', batch: null },
      },
    },
  });
  expect(lambda().batches('refresh', { items: [1, 2] }).work).toMatchObject({
    task: { description: { facts: { native: false, batch: 100 } } },
  });
});

describe('what a function says of its failure', () => {
  test.each([
    ['Unhandled', { errorType: 'TypeError', errorMessage: 'x is not a function', trace: [] }, 'TypeError: x is not a function'],
    ['Handled', { errorType: 'Invalid', errorMessage: 'no rows' }, 'Invalid: no rows'],
    [
      'Unhandled',
      { errorType: 'Sandbox.Timedout', errorMessage: 'RequestId: 1 Error: Task timed out after 3.00 seconds' },
      'timed out after 3.00',
    ],
    ['Unhandled', 'plain', 'Error: "plain"'],
  ] as const)('%s %j', async (functionError, payload, said) => {
    await using world = await fakeLambda(() => ({ payload, functionError }));
    const { task, request } = world.invoke({});
    await expect(task.start(request(), context)).rejects.toMatchObject({ code: 'REMOTE_FAILED', message: expect.stringContaining(said) });
  });
});

describe('what Lambda says of a call', () => {
  test.each([
    ['TooManyRequestsException', 429, 'REMOTE_THROTTLED'],
    ['EC2ThrottledException', 502, 'REMOTE_THROTTLED'],
    ['ServiceException', 500, 'REMOTE_UNAVAILABLE'],
    ['ResourceConflictException', 409, 'REMOTE_UNAVAILABLE'],
    ['ENILimitReachedException', 502, 'REMOTE_UNAVAILABLE'],
    ['ResourceNotFoundException', 404, 'REMOTE_REFUSED'],
    ['InvalidRequestContentException', 400, 'REMOTE_REFUSED'],
    ['RequestTooLargeException', 413, 'REMOTE_REFUSED'],
    ['AccessDeniedException', 403, 'ACCESS_DENIED'],
  ])('%s', async (name, status, code) => {
    await using world = await fakeLambda(() => ({ payload: null }));
    world.fake.fail('Invoke', new AwsFault(name, 'no', status));
    const { task, request } = world.invoke({});
    await expect(task.start(request(), context)).rejects.toMatchObject({ code });
    expect(world.fake.called('Invoke')).toHaveLength(1);
  });
});

test('a call whose answer is lost is not made again by the client', async () => {
  await using world = await fakeLambda(() => ({ payload: null }));
  world.fake.cut('Invoke');
  const { task, request } = world.invoke({});
  await expect(task.start(request(), context)).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  expect(world.fake.called('Invoke')).toHaveLength(1);
});

describe('a payload that Lambda would refuse is not sent', () => {
  const text = (bytes: number) => 'x'.repeat(bytes - 2);
  test.each([
    ['invoke', 6 * 1024 * 1024],
    ['send', 1024 * 1024],
  ] as const)('%s', async (how, limit) => {
    await using world = await fakeLambda(() => ({ payload: null }));
    const more = world[how]({ payload: text(limit + 1) });
    await expect(more.task.start(more.request(), context)).rejects.toMatchObject({ code: 'REMOTE_REFUSED', facts: { bytes: limit + 1 } });
    expect(world.fake.calls).toEqual([]);
    const just = world[how]({ payload: text(limit) });
    await just.task.start(just.request(), context);
    expect(world.fake.calls).toHaveLength(1);
  });
});

describe('items in batches', () => {
  const bodies = ({ Payload }: FakeCall['input']) => Payload.Records.map(({ body }: { body: string }) => JSON.parse(body));

  test('go in the form of SQS, so many at a time', async () => {
    await using world = await fakeLambda(() => ({ payload: null }));
    const { task, request } = world.batches({ items: [10, 11, 12, 13, 14], batchSize: 2, concurrency: 1 });
    const handle = await task.start(request(), context);
    expect(world.fake.called('Invoke').map(bodies)).toEqual([[10, 11], [12, 13], [14]]);
    expect(world.fake.called('Invoke')[1].Payload.Records[0]).toMatchObject({ messageId: '2', body: '12', eventSource: 'aws:sqs' });
    expect(outputOf(await task.poll(handle, context))).toEqual({ items: 5, calls: 3, sentAgain: 0 });
  });

  test('that failed are sent again, alone', async () => {
    const failing = new Set([11, 14]);
    await using world = await fakeLambda((input) => ({
      payload: {
        batchItemFailures: input.Payload.Records.filter(({ body }: { body: string }) => failing.delete(Number(body))).map(
          ({ messageId }: { messageId: string }) => ({ itemIdentifier: messageId }),
        ),
      },
    }));
    const { task, request } = world.batches({ items: [10, 11, 12, 13, 14], batchSize: 2, concurrency: 1 });
    const handle = await task.start(request(), context);
    expect(world.fake.called('Invoke').map(bodies)).toEqual([[10, 11], [12, 13], [14], [11, 14]]);
    expect(outputOf(await task.poll(handle, context))).toEqual({ items: 5, calls: 4, sentAgain: 2 });
  });

  test('that fail every time are told', async () => {
    await using world = await fakeLambda(() => ({ payload: { batchItemFailures: [{ itemIdentifier: '1' }] } }));
    const { task, request } = world.batches({ items: ['a', 'b', 'c'], attempts: 3 });
    await expect(task.start(request(), context)).rejects.toMatchObject({
      code: 'REMOTE_FAILED',
      message: expect.stringMatching(/1 of 3 items each of 3 times: 1\./),
      facts: { items: [1] },
    });
    expect(world.fake.called('Invoke').map(bodies)).toEqual([['a', 'b', 'c'], ['b'], ['b']]);
  });

  test('of which the function names one that it was not sent have all failed, as with SQS', async () => {
    await using world = await fakeLambda(() => ({ payload: { batchItemFailures: [{ itemIdentifier: 'nobody' }] } }));
    const { task, request } = world.batches({ items: ['a', 'b'], attempts: 1 });
    await expect(task.start(request(), context)).rejects.toMatchObject({ facts: { items: [0, 1] } });
  });

  test('stop when the function fails', async () => {
    await using world = await fakeLambda(() => ({ payload: { errorType: 'Broken', errorMessage: 'no' }, functionError: 'Unhandled' }));
    const { task, request } = world.batches({ items: [1, 2, 3], batchSize: 1, concurrency: 1 });
    await expect(task.start(request(), context)).rejects.toMatchObject({ code: 'REMOTE_FAILED' });
    expect(world.fake.calls).toHaveLength(1);
  });

  test('need a batch size', () => {
    expect(() => lambda().batches('refresh', { items: [], batchSize: 0 })).toThrow(expect.objectContaining({ code: 'PIPELINE_INVALID' }));
  });
});

describe('a call is work elsewhere that is done at once', () => {
  remoteTaskConformance(test, async () => {
    const world = await fakeLambda(() => ({ payload: { rows: 7 } }));
    const { task, request } = world.invoke({});
    return {
      task,
      parameters: request().parameters,
      works: () => world.fake.calls.length,
      end: {},
      [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
    };
  });
});
