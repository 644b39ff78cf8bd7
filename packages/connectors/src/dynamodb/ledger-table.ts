import { type Context, isAwsError } from '@millrace/core/runtime';
import { type DynamoService, pause } from './client.ts';

/** The table in which Millrace keeps what it has to remember of loads into DynamoDB and of streams out of it: items by their owner. */
export class LedgerTable {
  readonly name: string;
  readonly #service: DynamoService;

  constructor(service: DynamoService, name: string) {
    this.#service = service;
    this.name = name;
  }

  /** Makes the table where it is missing, and waits until it is there. */
  async provide(context: Context): Promise<void> {
    for (let looks = 1; ; looks++) {
      const status = await this.#service.call(`looking at ${this.name}`, context, async (sdk, client, options) => {
        try {
          return (await client.send(new sdk.DescribeTableCommand({ TableName: this.name }), options)).Table?.TableStatus;
        } catch (error) {
          if (!isAwsError(error, 'ResourceNotFoundException')) throw error;
        }
        try {
          await client.send(
            new sdk.CreateTableCommand({
              TableName: this.name,
              AttributeDefinitions: [{ AttributeName: 'owner', AttributeType: 'S' }],
              KeySchema: [{ AttributeName: 'owner', KeyType: 'HASH' }],
              BillingMode: 'PAY_PER_REQUEST',
            }),
            options,
          );
        } catch (error) {
          // Somebody else was faster.
          if (!isAwsError(error, 'ResourceInUseException')) throw error;
        }
        return 'CREATING';
      });
      if (status === 'ACTIVE' || status === 'UPDATING') return;
      await pause(looks, context);
    }
  }
}
