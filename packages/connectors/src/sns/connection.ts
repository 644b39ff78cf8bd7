import { MillraceError, type RemoteValue, type RunValue, remote, type Step, type StepOptions } from '@millrace/core/runtime';
import { regionOfArn } from '../aws/console.ts';
import type { AwsSettings } from '../aws/settings.ts';
import { snsService } from './client.ts';
import { publish } from './publish.ts';

export interface NoticeOptions {
  /** For e-mail: up to 100 ASCII characters. */
  readonly subject?: string;
  /** For filters of subscriptions. */
  readonly attributes?: Readonly<Record<string, string | RunValue>>;
  /** Of a FIFO topic, whose messages are in order within a group: `millrace` by default. */
  readonly group?: string;
}

export interface SnsConnection {
  /** Publishes to the topic: text, or what becomes JSON. */
  publish(topicArn: string, message: RemoteValue, options?: NoticeOptions, step?: StepOptions): Step<never, 'nothing'>;
}

/** Notices by SNS as steps: `sns().publish(topicArn, { loaded: run.date }, { subject: 'Orders loaded' }, { after: [files] })`. */
export function sns(settings: AwsSettings = {}): SnsConnection {
  return Object.freeze({
    publish: (topicArn: string, message: RemoteValue, options: NoticeOptions = {}, step: StepOptions = {}) => {
      const region = regionOfArn(topicArn);
      if (region === null || !topicArn.includes(':sns:')) {
        throw new MillraceError('PIPELINE_INVALID', {
          message: `"${topicArn}" is no ARN of an SNS topic.`,
          remedy: 'Write it as SNS shows it: arn:aws:sns:eu-west-1:123456789012:etl.',
        });
      }
      const { subject, attributes, group = 'millrace' } = options;
      return remote(
        publish(snsService({ ...settings, region: settings.region ?? region }), topicArn),
        {
          TopicArn: topicArn,
          Message: message,
          ...(subject !== undefined && { Subject: subject }),
          ...(attributes && {
            MessageAttributes: Object.fromEntries(
              Object.entries(attributes).map(([name, value]) => [name, { DataType: 'String', StringValue: value }]),
            ),
          }),
          ...(topicArn.endsWith('.fifo') && { MessageGroupId: group }),
        },
        step,
      );
    },
  });
}
