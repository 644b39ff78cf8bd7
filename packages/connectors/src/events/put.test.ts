import { run } from '@millrace/core';
import { remoteTaskConformance, testContext } from '@millrace/core/testing';
import { describe, expect, test } from 'vitest';
import { AwsFault, awsFake } from '../../../../test/aws-fake.ts';
import { outputOf, remoteOf } from '../../test/remote.ts';
import { events } from './index.ts';

const context = testContext();
const event = (n: number) => ({ source: 'shop', detailType: 'Orders loaded', detail: { n } });

/** A bus that refuses events by their number: so often each, with a code. */
async function fakeBus(refused: Record<number, { code: string; times: number }> = {}) {
  const taken: number[] = [];
  const fake = await awsFake({
    PutEvents({ Entries }) {
      if (Entries.length > 10) throw new AwsFault('ValidationException');
      const answers = Entries.map(({ Detail }: { Detail: string }) => {
        const { n } = JSON.parse(Detail);
        const refusal = refused[n];
        if (refusal && refusal.times-- > 0) return { ErrorCode: refusal.code, ErrorMessage: 'no' };
        taken.push(n);
        return { EventId: `event-${n}` };
      });
      return { FailedEntryCount: answers.filter((one: { ErrorCode?: string }) => one.ErrorCode).length, Entries: answers };
    },
  });
  const put = (count: number) => remoteOf(events({ ...fake.settings, bus: 'etl' }).put(Array.from({ length: count }, (_, n) => event(n))));
  return { fake, taken, put, [Symbol.asyncDispose]: () => fake[Symbol.asyncDispose]() };
}

test('an event is put with its detail as text', async () => {
  await using world = await fakeBus();
  const { task, request } = world.put(1);
  const handle = await task.start(request(), context);
  expect(world.fake.called('PutEvents')).toEqual([
    { Entries: [{ Source: 'shop', DetailType: 'Orders loaded', Detail: '{"n":0}', EventBusName: 'etl' }] },
  ]);
  expect(outputOf(await task.poll(handle, context))).toEqual({ events: ['event-0'] });
});

test('more than ten go in several calls', async () => {
  await using world = await fakeBus();
  const { task, request } = world.put(23);
  await task.start(request(), context);
  expect(world.fake.called('PutEvents').map(({ Entries }) => Entries.length)).toEqual([10, 10, 3]);
  expect(world.taken).toHaveLength(23);
});

test('and so do those that are too large together', async () => {
  await using world = await fakeBus();
  const long = (n: number) => ({ ...event(n), detail: { n, text: 'ä'.repeat(50_000) } });
  const { task, request } = remoteOf(events(world.fake.settings).put([0, 1, 2, 3, 4].map(long)));
  await task.start(request(), context);
  expect(world.fake.called('PutEvents').map(({ Entries }) => Entries.length)).toEqual([2, 2, 1]);
});

test('what the bus does not answer for is sent again, whatever it says of its count', async () => {
  let calls = 0;
  await using fake = await awsFake({
    PutEvents: ({ Entries }) => ({
      FailedEntryCount: 0,
      Entries: calls++ === 0 ? [{ EventId: 'event-0' }, {}] : Entries.map(() => ({ EventId: `event-${calls}` })),
    }),
  });
  const { task, request } = remoteOf(events(fake.settings).put([0, 1, 2].map(event)));
  const handle = await task.start(request(), context);
  expect(fake.called('PutEvents').map(({ Entries }) => Entries.length)).toEqual([3, 2]);
  expect(handle.detail['events']).toEqual(['event-0', 'event-2', 'event-2']);
});

test('what the bus could not take for now is sent again, alone', async () => {
  await using world = await fakeBus({ 1: { code: 'ThrottlingException', times: 2 }, 3: { code: 'InternalFailure', times: 1 } });
  const { task, request } = world.put(5);
  await task.start(request(), context);
  expect(world.fake.called('PutEvents').map(({ Entries }) => Entries.length)).toEqual([5, 2, 1]);
  expect(world.taken).toEqual([0, 2, 4, 3, 1]);
});

test('what it will never take is told', async () => {
  await using world = await fakeBus({ 1: { code: 'MalformedDetail', times: 9 } });
  const { task, request } = world.put(3);
  await expect(task.start(request(), context)).rejects.toMatchObject({
    code: 'REMOTE_REFUSED',
    message: expect.stringContaining('2 of 3 events: MalformedDetail'),
  });
  expect(world.fake.calls).toHaveLength(1);
});

test('what it does not take for long is left to the next attempt', async () => {
  await using world = await fakeBus({ 0: { code: 'ThrottlingException', times: 99 } });
  const { task, request } = world.put(1);
  await expect(task.start(request(), context)).rejects.toMatchObject({ code: 'REMOTE_THROTTLED' });
  expect(world.fake.calls).toHaveLength(4);
});

test('a put whose answer is lost is not made again by the client', async () => {
  await using world = await fakeBus();
  world.fake.cut('PutEvents');
  const { task, request } = world.put(1);
  await expect(task.start(request(), context)).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  expect(world.taken).toEqual([0]);
});

describe('a step', () => {
  test('says what a state machine needs, and that it may happen twice', () => {
    expect(events().put({ source: 'shop', detailType: 'Loaded', detail: { day: run.date }, resources: ['arn:x'] }).work).toMatchObject({
      parameters: { Entries: [{ Source: 'shop', DetailType: 'Loaded', Detail: { day: run.date }, Resources: ['arn:x'] }] },
      task: {
        description: {
          service: 'events',
          action: 'PutEvents',
          starts: 'at-least-once',
          watched: false,
          facts: { native: true, entries: 1 },
        },
      },
    });
    expect(events().put(Array.from({ length: 11 }, (_, n) => event(n))).work).toMatchObject({
      task: { description: { facts: { native: false, entries: 11 } } },
    });
  });

  test('has an event', () => {
    expect(() => events().put([])).toThrow(expect.objectContaining({ code: 'PIPELINE_INVALID' }));
  });
});

describe('events are work elsewhere that is done at once', () => {
  remoteTaskConformance(test, async () => {
    const world = await fakeBus();
    const { task, request } = world.put(2);
    return {
      task,
      parameters: request().parameters,
      works: () => world.taken.length / 2,
      end: {},
      refuse: {
        throttled: () => world.fake.fail('PutEvents', new AwsFault('ThrottlingException', 'no')),
        unavailable: () => world.fake.fail('PutEvents', new AwsFault('InternalException', 'no', 500)),
        garbled: () => world.fake.garble('PutEvents'),
      },
      [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
    };
  });
});
