import { CreateTopicCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns';
import { CreateQueueCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { testContext } from '@millrace/core/testing';
import { expect, inject, test } from 'vitest';
import { remoteOf } from '../../test/remote.ts';
import { sns } from './index.ts';

const settings = { region: 'us-east-1', endpoint: inject('s3'), credentials: { accessKeyId: 'test', secretAccessKey: 'test' } };
const context = testContext();

/** A topic with a queue that hears of it; what the queue has got since the last look. */
async function topicWithQueue(name: string) {
  const topics = new SNSClient(settings);
  const queues = new SQSClient(settings);
  const Attributes = name.endsWith('.fifo') ? { FifoTopic: 'true' } : {};
  const { TopicArn } = await topics.send(new CreateTopicCommand({ Name: name, Attributes }));
  const queue = await queues.send(
    new CreateQueueCommand({ QueueName: name, Attributes: name.endsWith('.fifo') ? { FifoQueue: 'true' } : {} }),
  );
  const Endpoint = `arn:aws:sqs:us-east-1:123456789012:${name}`;
  await topics.send(new SubscribeCommand({ TopicArn: TopicArn!, Protocol: 'sqs', Endpoint, Attributes: { RawMessageDelivery: 'true' } }));
  return {
    topic: TopicArn!,
    async messages() {
      const { Messages = [] } = await queues.send(
        new ReceiveMessageCommand({ QueueUrl: queue.QueueUrl!, MaxNumberOfMessages: 10, MessageAttributeNames: ['All'] }),
      );
      return Messages.map(({ Body, MessageAttributes }) => ({ body: Body, kind: MessageAttributes?.['kind']?.StringValue }));
    },
    [Symbol.dispose]() {
      topics.destroy();
      queues.destroy();
    },
  };
}

test('a notice arrives, JSON as text', async () => {
  using world = await topicWithQueue('millrace-notices');
  const { task, request } = remoteOf(sns(settings).publish(world.topic, { loaded: 7 }, { attributes: { kind: 'done' } }));
  const handle = await task.start(request(), context);
  expect(await task.poll(handle, context)).toEqual({ at: 'succeeded', output: { message: expect.any(String) } });
  expect(await world.messages()).toEqual([{ body: '{"loaded":7}', kind: 'done' }]);
});

test('on a FIFO topic a notice that is published again under one id is there once', async () => {
  using world = await topicWithQueue('millrace-notices.fifo');
  const { task, request } = remoteOf(sns(settings).publish(world.topic, 'done'));
  await task.start(request('a'), context);
  await task.start(request('a'), context);
  await task.start(request('b'), context);
  expect(await world.messages()).toHaveLength(2);
});

test('a topic that is not there is refused', async () => {
  const { task, request } = remoteOf(sns(settings).publish('arn:aws:sns:us-east-1:123456789012:nobody', 'done'));
  await expect(task.start(request(), context)).rejects.toMatchObject({ code: 'REMOTE_REFUSED' });
});
