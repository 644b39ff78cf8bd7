import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { type Context, isAwsError } from '@millrace/core/runtime';
import { type DynamoService, pause } from './client.ts';
import type { Pace } from './pace.ts';

export type Item = Record<string, AttributeValue>;

export interface Writing {
  readonly service: DynamoService;
  readonly table: string;
  readonly context: Context;
  readonly pace: Pace | null;
}

/** DynamoDB takes so many puts in one request. */
export const batchSize = 25;

/** Puts up to 25 items of different keys; those that DynamoDB leaves out are sent again until it has taken them. */
export async function putBatch({ service, table, context, pace }: Writing, items: readonly Item[]): Promise<void> {
  let left = items;
  for (let tries = 1; left.length > 0; tries++) {
    await pace?.turn(context.signal);
    const answer = await service.call(`writing to ${table}`, context, (sdk, client, options) =>
      client.send(
        new sdk.BatchWriteItemCommand({
          RequestItems: { [table]: left.map((item) => ({ PutRequest: { Item: item } })) },
          ReturnConsumedCapacity: 'TOTAL',
        }),
        options,
      ),
    );
    pace?.spent(unitsOf(answer.ConsumedCapacity ?? []));
    left = (answer.UnprocessedItems?.[table] ?? []).flatMap(({ PutRequest }) => (PutRequest?.Item ? [PutRequest.Item as Item] : []));
    if (left.length > 0) await pause(Math.min(tries, 8), context);
  }
}

/** Puts an item unless a later load has written there. Answers whether it is there now. */
export async function putStamped({ service, table, context, pace }: Writing, item: Item, attribute: string): Promise<boolean> {
  await pace?.turn(context.signal);
  return service.call(`writing to ${table}`, context, async (sdk, client, options) => {
    try {
      const answer = await client.send(
        new sdk.PutItemCommand({
          TableName: table,
          Item: item,
          ConditionExpression: 'attribute_not_exists(#stamp) OR #stamp <= :stamp',
          ExpressionAttributeNames: { '#stamp': attribute },
          ExpressionAttributeValues: { ':stamp': item[attribute] as AttributeValue },
          ReturnConsumedCapacity: 'TOTAL',
        }),
        options,
      );
      pace?.spent(answer.ConsumedCapacity?.CapacityUnits ?? 0);
      return true;
    } catch (error) {
      if (isAwsError(error, 'ConditionalCheckFailedException')) return false;
      throw error;
    }
  });
}

const unitsOf = (consumed: readonly { readonly CapacityUnits?: number | undefined }[]): number =>
  consumed.reduce((sum, { CapacityUnits = 0 }) => sum + CapacityUnits, 0);
