import { run } from '@millrace/core';
import { expect, test } from 'vitest';
import { sns } from './index.ts';

const topic = 'arn:aws:sns:eu-west-1:123456789012:etl';

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
