import { EventBridgeClient, PutRuleCommand, PutTargetsCommand } from '@aws-sdk/client-eventbridge';
import { CreateQueueCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { testContext } from '@millrace/core/testing';
import { expect, inject, test } from 'vitest';
import { remoteOf } from '../../test/remote.ts';
import { events } from './index.ts';

const settings = { region: 'us-east-1', endpoint: inject('s3'), credentials: { accessKeyId: 'test', secretAccessKey: 'test' } };
const context = testContext();

test('events arrive where a rule sends them', async () => {
  const bus = new EventBridgeClient(settings);
  const queues = new SQSClient(settings);
  const { QueueUrl } = await queues.send(new CreateQueueCommand({ QueueName: 'millrace-events' }));
  await bus.send(new PutRuleCommand({ Name: 'millrace-loaded', EventPattern: JSON.stringify({ source: ['shop'] }) }));
  const Arn = 'arn:aws:sqs:us-east-1:123456789012:millrace-events';
  await bus.send(new PutTargetsCommand({ Rule: 'millrace-loaded', Targets: [{ Id: '1', Arn }] }));

  const loaded = (n: number) => ({ source: n % 2 === 0 ? 'shop' : 'other', detailType: 'Orders loaded', detail: { n } });
  const { task, request } = remoteOf(events(settings).put([0, 1, 2].map(loaded)));
  const handle = await task.start(request(), context);
  expect(handle.detail['events']).toHaveLength(3);

  const { Messages = [] } = await queues.send(new ReceiveMessageCommand({ QueueUrl: QueueUrl!, MaxNumberOfMessages: 10 }));
  const got = Messages.map(({ Body }) => JSON.parse(Body!)).map((one) => [one['detail-type'], one.detail.n]);
  expect(got).toEqual(
    expect.arrayContaining([
      ['Orders loaded', 0],
      ['Orders loaded', 2],
    ]),
  );
  expect(got).toHaveLength(2);
  bus.destroy();
  queues.destroy();
});
