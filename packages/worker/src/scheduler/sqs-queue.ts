import { MillraceError } from '@millrace/core/runtime';
import type { EventQueue } from './file-events.ts';

export interface SqsQueue extends EventQueue {
  close(): Promise<void>;
}

/** Seconds that one call waits for messages: the most that SQS allows. */
const waitSeconds = 20;
/** Seconds after which a message that is not done comes again. */
const visibleSeconds = 60;

/** The queue at a URL, `https://sqs.eu-west-1.amazonaws.com/123456789012/landing`. The package is loaded only where there is one. @throws CONFIG_INVALID */
export async function sqsQueue(url: string, { endpoint }: { readonly endpoint?: string } = {}): Promise<SqsQueue> {
  const region = regionOf(url);
  const { DeleteMessageCommand, ReceiveMessageCommand, SQSClient } = await load();
  const client = new SQSClient({ ...(region !== undefined && { region }), ...(endpoint !== undefined && { endpoint }), maxAttempts: 3 });
  return {
    async receive(abortSignal) {
      const wanted = { QueueUrl: url, MaxNumberOfMessages: 10, WaitTimeSeconds: waitSeconds, VisibilityTimeout: visibleSeconds };
      const { Messages = [] } = await client.send(new ReceiveMessageCommand(wanted), { abortSignal });
      return Messages.map(({ Body = '', ReceiptHandle }) => ({
        body: Body,
        async done() {
          await client.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle }));
        },
      }));
    },
    async close() {
      client.destroy();
    },
  };
}

function regionOf(url: string): string | undefined {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new MillraceError('CONFIG_INVALID', {
      message: `"${url}" is no URL of an SQS queue.`,
      remedy: 'Write it as AWS shows it: https://sqs.eu-west-1.amazonaws.com/123456789012/landing.',
    });
  return /^sqs\.([\w-]+)\.amazonaws\./.exec(new URL(url).hostname)?.[1];
}

async function load() {
  try {
    return await import('@aws-sdk/client-sqs');
  } catch (cause) {
    throw new MillraceError('CONFIG_INVALID', {
      message: 'Events of S3 come from an SQS queue, and the package @aws-sdk/client-sqs is not installed.',
      remedy: 'Run "npm install @aws-sdk/client-sqs".',
      cause,
    });
  }
}
