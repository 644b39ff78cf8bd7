import { type AwsService, awsService } from '../aws/service.ts';
import type { AwsSettings } from '../aws/settings.ts';

type Sdk = typeof import('@aws-sdk/client-sns');
export type SnsService = AwsService<Sdk, InstanceType<Sdk['SNSClient']>>;

export const snsService = (settings: AwsSettings): SnsService =>
  awsService(
    {
      name: 'SNS',
      package: '@aws-sdk/client-sns',
      load: () => import('@aws-sdk/client-sns'),
      client: (sdk, configuration) => new sdk.SNSClient(configuration),
      grant: 'sns:Publish on the topic',
    },
    settings,
  );
