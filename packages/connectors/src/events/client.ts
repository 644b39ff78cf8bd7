import { type AwsService, awsService } from '../aws/service.ts';
import type { AwsSettings } from '../aws/settings.ts';

type Sdk = typeof import('@aws-sdk/client-eventbridge');
export type EventsService = AwsService<Sdk, InstanceType<Sdk['EventBridgeClient']>>;

export const eventsService = (settings: AwsSettings): EventsService =>
  awsService(
    {
      name: 'EventBridge',
      package: '@aws-sdk/client-eventbridge',
      load: () => import('@aws-sdk/client-eventbridge'),
      client: (sdk, configuration) => new sdk.EventBridgeClient(configuration),
      grant: 'events:PutEvents on the event bus',
    },
    settings,
  );
