import { type FilesSchedule, onFiles } from '@millrace/core/runtime';
import { afterEach, beforeEach, expect, inject, it, vi } from 'vitest';
import { type ScheduleWorld, scheduled, scheduleWorld } from '../../test/schedule-world.ts';
import { fileEvents } from './file-events.ts';
import { type SqsQueue, sqsQueue } from './sqs-queue.ts';
import { deploy, tickOnce } from './ticking.ts';

let world: ScheduleWorld;
let queue: SqsQueue;
let queueUrl: string;
const never = new AbortController().signal;

/** The query protocol of SQS, as a bucket's notification would write to the queue. */
async function sqs(action: string, fields: Readonly<Record<string, string>>): Promise<string> {
  const response = await fetch(inject('s3'), {
    method: 'POST',
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      authorization: 'AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=none',
    },
    body: new URLSearchParams({ Action: action, Version: '2012-11-05', ...fields }),
  });
  return response.text();
}

beforeEach(async () => {
  world = await scheduleWorld();
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
  vi.stubEnv('AWS_REGION', 'us-east-1');
  const made = await sqs('CreateQueue', { QueueName: `landing-${world.database.name}` });
  queueUrl = /<QueueUrl>([^<]+)<\/QueueUrl>/.exec(made)?.[1] ?? `no queue: ${made}`;
  queue = await sqsQueue(queueUrl, { endpoint: inject('s3') });
});
afterEach(async () => {
  await queue.close();
  vi.unstubAllEnvs();
  await world[Symbol.asyncDispose]();
});

it('an event that lies in a queue of SQS starts one run, and is gone afterwards', { timeout: 120_000 }, async () => {
  const schedule = onFiles('s3://lake/in/*') as FilesSchedule;
  const pipelines = new Map([scheduled('landed', schedule, { params: { file: null } })]);
  const one = { store: world.store, launch: world.launch(pipelines), pipelines };
  await deploy(one);
  const event = { Records: [{ eventName: 'ObjectCreated:Put', s3: { bucket: { name: 'lake' }, object: { key: 'in/a.csv', eTag: 'e' } } }] };
  for (let i = 0; i < 2; i++) await sqs('SendMessage', { QueueUrl: queueUrl, MessageBody: JSON.stringify(event) });
  const matches = (pattern: string, url: string) => url.startsWith(pattern.replace('*', ''));
  const source = fileEvents({
    store: world.store,
    queue,
    files: { matches },
    patterns: [{ pipeline: 'landed', pattern: schedule.pattern }],
  });
  const left = async () =>
    /ApproximateNumberOfMessages<\/Name>\s*<Value>(\d+)/.exec(
      await sqs('GetQueueAttributes', { QueueUrl: queueUrl, 'AttributeName.1': 'ApproximateNumberOfMessages' }),
    )?.[1];
  expect(await left()).toBe('2');
  await vi.waitFor(
    async () => {
      await source.look(never);
      expect(await left()).toBe('0');
    },
    { timeout: 60_000 },
  );
  await tickOnce(one);
  expect((await world.runsOf('landed')).map(({ request }) => request.params)).toEqual([{ file: 's3://lake/in/a.csv' }]);
});

it('what is no URL of a queue is refused', async () => {
  await expect(sqsQueue('landing')).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});
