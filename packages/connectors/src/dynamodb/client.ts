import { setTimeout as sleep } from 'node:timers/promises';
import { type Context, isMillraceError } from '@millrace/core/runtime';
import { type AwsService, awsService } from '../aws/service.ts';
import type { AwsSettings } from '../aws/settings.ts';

type Sdk = typeof import('@aws-sdk/client-dynamodb');
type Client = InstanceType<Sdk['DynamoDBClient']>;

export type DynamoRequest<Result> = (sdk: Sdk, client: Client, options: { readonly abortSignal: AbortSignal }) => Promise<Result>;

/** DynamoDB as a connection reaches it. Every request that goes through here may be made again: reads, puts of whole items, and what is conditional. */
export interface DynamoService extends Pick<AwsService<Sdk, Client>, 'region' | 'regionInUse'> {
  call: AwsService<Sdk, Client>['call'];
}

const mostTries = 10;

export function dynamoService(settings: AwsSettings): DynamoService {
  const service = awsService<Sdk, Client>(
    {
      name: 'DynamoDB',
      package: '@aws-sdk/client-dynamodb',
      load: () => import('@aws-sdk/client-dynamodb'),
      client: (sdk, configuration) => new sdk.DynamoDBClient(configuration),
      isRepeatable: true,
      grant: 'dynamodb:DescribeTable, Scan, PutItem, BatchWriteItem, GetItem and UpdateItem on the tables, as the pipeline needs them',
    },
    settings,
  );
  return {
    region: service.region,
    regionInUse: service.regionInUse,
    async call(doing, context, request) {
      for (let tries = 1; ; tries++) {
        try {
          return await service.call(doing, context, request);
        } catch (error) {
          // A table that grows with its load refuses for seconds, and that is in order.
          if (tries >= mostTries || !isMillraceError(error) || !passing.includes(error.code)) throw error;
          await pause(tries, context);
        }
      }
    },
  };
}

const passing: readonly string[] = ['REMOTE_THROTTLED', 'REMOTE_UNAVAILABLE', 'CONNECTION_FAILED'];

/** Before the next try: from 50 ms on doubled, 5 s at most, each time another part of it. */
export const pause = (tries: number, { signal }: Pick<Context, 'signal'>): Promise<void> =>
  sleep(Math.min(25 * 2 ** tries, 5_000) * (0.5 + Math.random() / 2), undefined, { signal });
