import { run } from '@millrace/core';
import { remoteTaskConformance, testContext } from '@millrace/core/testing';
import { describe, expect, test } from 'vitest';
import { AwsFault, awsFake } from '../../../../test/aws-fake.ts';
import { outputOf, remoteOf } from '../../test/remote.ts';
import { sns } from './index.ts';

const topic = 'arn:aws:sns:eu-west-1:123456789012:etl';
const context = testContext();

/** A topic, which keeps messages of one deduplication id once where it is FIFO. */
async function fakeTopic(name: string) {
  const messages: { id: string; text: string; token: string | undefined }[] = [];
  const fake = await awsFake({
    Publish({ TopicArn, Message, MessageDeduplicationId: token, MessageGroupId }) {
      if (TopicArn.endsWith('.fifo') !== (MessageGroupId !== undefined)) throw new AwsFault('InvalidParameter');
      const known = token && messages.find((one) => one.token === token);
      if (known) return { MessageId: known.id };
      messages.push({ id: `message-${messages.length + 1}`, text: Message, token });
      return { MessageId: messages.at(-1)?.id };
    },
  });
  const of = remoteOf(sns(fake.settings).publish(name, { loaded: 7 }, { subject: 'Loaded' }));
  return { fake, messages, ...of, [Symbol.asyncDispose]: () => fake[Symbol.asyncDispose]() };
}

test('a notice whose answer is lost is there once on a FIFO topic, twice on another', async () => {
  for (const [name, times] of [
    [`${topic}.fifo`, 1],
    [topic, 2],
  ] as const) {
    await using world = await fakeTopic(name);
    world.fake.cut('Publish');
    await expect(world.task.start(world.request(), context)).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
    const handle = (await world.task.adopt(world.request(), context)) ?? (await world.task.start(world.request(), context));
    expect(outputOf(await world.task.poll(handle, context))).toEqual({ message: `message-${times}` });
    expect(world.messages.map(({ text }) => text)).toEqual(Array.from({ length: times }, () => '{"loaded":7}'));
  }
});

test('a step says what a state machine needs, and whether it may happen twice', () => {
  expect(sns().publish(topic, { day: run.date }, { subject: 'Loaded', attributes: { kind: 'done' } }).work).toMatchObject({
    parameters: {
      TopicArn: topic,
      Message: { day: run.date },
      Subject: 'Loaded',
      MessageAttributes: { kind: { DataType: 'String', StringValue: 'done' } },
    },
    task: {
      description: {
        service: 'sns',
        action: 'Publish',
        region: 'eu-west-1',
        starts: 'at-least-once',
        facts: { native: true, fifo: false },
      },
    },
  });
  expect(sns().publish(`${topic}.fifo`, 'done', { group: 'orders' }).work).toMatchObject({
    parameters: { MessageGroupId: 'orders' },
    task: { description: { starts: 'once', facts: { fifo: true } } },
  });
});

test('a topic has an ARN', () => {
  expect(() => sns().publish('etl', 'done')).toThrow(expect.objectContaining({ code: 'PIPELINE_INVALID' }));
  expect(() => sns().publish('arn:aws:sqs:eu-west-1:123456789012:etl', 'done')).toThrow(
    expect.objectContaining({ code: 'PIPELINE_INVALID' }),
  );
});

describe.each([topic, `${topic}.fifo`])('a notice to %s is work elsewhere that is done at once', (name) => {
  remoteTaskConformance(test, async () => {
    const world = await fakeTopic(name);
    return {
      task: world.task,
      parameters: world.request().parameters,
      works: () => world.messages.length,
      end: {},
      refuse: {
        throttled: () => world.fake.fail('Publish', new AwsFault('ThrottledException', 'no', 429)),
        unavailable: () => world.fake.fail('Publish', new AwsFault('InternalErrorException', 'no', 500)),
        garbled: () => world.fake.garble('Publish'),
      },
      [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
    };
  });
});
