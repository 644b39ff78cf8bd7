import { isMillraceError } from '@millrace/core/runtime';
import { type AwsService, awsService } from '../../aws/service.ts';
import type { AwsSettings } from '../../aws/settings.ts';
import { pause } from '../client.ts';

type Sdk = typeof import('@aws-sdk/client-dynamodb-streams');
export type StreamsService = Pick<AwsService<Sdk, InstanceType<Sdk['DynamoDBStreamsClient']>>, 'call'>;

const mostTries = 10;
const passing: readonly string[] = ['REMOTE_THROTTLED', 'REMOTE_UNAVAILABLE', 'CONNECTION_FAILED'];

/** DynamoDB Streams. All of its requests only read, so each may be made again. */
export function streamsService(settings: AwsSettings): StreamsService {
  const service = awsService<Sdk, InstanceType<Sdk['DynamoDBStreamsClient']>>(
    {
      name: 'DynamoDB Streams',
      package: '@aws-sdk/client-dynamodb-streams',
      load: () => import('@aws-sdk/client-dynamodb-streams'),
      client: (sdk, configuration) => new sdk.DynamoDBStreamsClient(configuration),
      isRepeatable: true,
      grant: 'dynamodb:DescribeStream, GetShardIterator and GetRecords on the streams of the tables',
    },
    settings,
  );
  return {
    async call(doing, context, request) {
      for (let tries = 1; ; tries++) {
        try {
          return await service.call(doing, context, request);
        } catch (error) {
          if (tries >= mostTries || !isMillraceError(error) || !passing.includes(error.code)) throw error;
          await pause(tries, context);
        }
      }
    },
  };
}
