import type { PublishCommandInput } from '@aws-sdk/client-sns';
import { type Json, MillraceError, type RemoteTask } from '@millrace/core/runtime';
import { consoleLink, regionOfArn } from '../aws/console.ts';
import { doneAtOnce } from '../aws/done.ts';
import type { SnsFacts } from '../aws/facts.ts';
import type { SnsService } from './client.ts';

/**
 * A message to a topic. On a FIFO topic the request's id is its deduplication id: within five minutes a repeated message is none. A standard
 * topic cannot tell, and may have it twice.
 */
export function publish(sns: SnsService, topic: string): RemoteTask {
  const fifo = topic.endsWith('.fifo');
  const facts: SnsFacts = { native: true, fifo };
  const region = regionOfArn(topic);
  return doneAtOnce(
    {
      service: 'sns',
      action: 'Publish',
      label: `notice to ${topic.split(':').at(-1)}`,
      region: sns.region,
      starts: fifo ? 'once' : 'at-least-once',
      watched: false,
      pollMs: 1_000,
      facts: { ...facts },
    },
    async ({ id, parameters }, context) => {
      const { Message, ...rest } = parameters as unknown as Omit<PublishCommandInput, 'Message'> & { readonly Message: Json };
      const input: PublishCommandInput = {
        ...rest,
        Message: typeof Message === 'string' ? Message : JSON.stringify(Message),
        ...(fifo && { MessageDeduplicationId: id }),
      };
      const { MessageId } = await sns.call(`publishing to ${topic}`, context, (sdk, client, options) =>
        client.send(new sdk.PublishCommand(input), options),
      );
      if (MessageId === undefined)
        throw new MillraceError('REMOTE_UNAVAILABLE', {
          message: `SNS, publishing to ${topic}: its answer says nothing of the message.`,
          remedy: 'Tried again with backoff.',
        });
      const link = region && consoleLink(region, `sns/v3/home?region=${region}#/topic/${topic}`);
      return { link, detail: { message: MessageId } };
    },
  );
}
