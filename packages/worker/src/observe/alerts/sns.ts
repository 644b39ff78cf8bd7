import { MillraceError } from '@millrace/core/runtime';
import type { Alert } from './alert.ts';

/** Publishes to a topic. The package is loaded only where there is one. */
export async function snsSender(name: string, topic: string): Promise<(alert: Alert, signal: AbortSignal) => Promise<void>> {
  const region = /^arn:[\w-]+:sns:([\w-]+):\d+:[\w.-]+$/.exec(topic)?.[1];
  if (!region) {
    throw new MillraceError('CONFIG_INVALID', {
      message: `The alert target "${name}" has no ARN of an SNS topic.`,
      remedy: `Check "alerts.${name}.sns" in the environment: arn:aws:sns:eu-west-1:123456789012:etl.`,
      facts: { target: name },
    });
  }
  const { PublishCommand, SNSClient } = await load(name);
  // Another try is ours to make: with a pause, and by whichever process is there then.
  const client = new SNSClient({ region, maxAttempts: 1 });
  const ordered = topic.endsWith('.fifo');
  return async (alert, abortSignal) => {
    const { id, kind, pipeline, title } = alert;
    const attribute = (StringValue: string) => ({ DataType: 'String', StringValue });
    const command = new PublishCommand({
      TopicArn: topic,
      Subject: subject(title),
      Message: JSON.stringify({ version: 1, ...alert }),
      MessageAttributes: { kind: attribute(kind), pipeline: attribute(pipeline) },
      ...(ordered ? { MessageGroupId: groupOf(pipeline), MessageDeduplicationId: groupOf(id) } : {}),
    });
    await client.send(command, { abortSignal });
  };
}

async function load(name: string) {
  try {
    return await import('@aws-sdk/client-sns');
  } catch (cause) {
    throw new MillraceError('UNSUPPORTED', {
      message: `The alert target "${name}" is an SNS topic, and the package @aws-sdk/client-sns is not installed.`,
      remedy: 'Install it: npm install @aws-sdk/client-sns.',
      facts: { target: name },
      cause,
    });
  }
}

/** ASCII without line ends, less than 100 characters. */
const subject = (title: string): string => title.replace(/[^\x20-\x7e]/g, '?').slice(0, 99);

/** What groups and deduplication ids may be written with. */
const groupOf = (text: string): string => text.replace(/[^\w!"#$%&'()*+,\-./:;<=>?@[\\\]^`{|}~]/g, '_').slice(0, 128);
