import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { type Checkpoint, type Context, type Fence, isAwsError, type LoadOwner, MillraceError, type Receipt } from '@millrace/core/runtime';
import type { DynamoService } from './client.ts';
import { LedgerTable } from './ledger-table.ts';

/** Receipts of so many loads are kept. */
const keptReceipts = 50;

export interface LedgerEntry {
  readonly checkpoint: Checkpoint | null;
  readonly receipts: readonly Receipt[];
}

/**
 * What is remembered of loads, in a table of its own: one item for each pipeline and step, with whose turn it is. Attempts at one thing are
 * ordered by their epochs, attempts at different ones (runs of a pipeline) by when these were made.
 */
export class Ledger {
  readonly #service: DynamoService;
  readonly #ledger: LedgerTable;
  readonly #context: Context;

  constructor(service: DynamoService, table: string, context: Context) {
    this.#service = service;
    this.#ledger = new LedgerTable(service, table);
    this.#context = context;
  }

  async read(owner: LoadOwner): Promise<LedgerEntry> {
    const answer = await this.#service.call(`reading ${this.#ledger.name}`, this.#context, async (sdk, client, options) => {
      try {
        return await client.send(
          new sdk.GetItemCommand({ TableName: this.#ledger.name, Key: keyOf(owner), ConsistentRead: true }),
          options,
        );
      } catch (error) {
        if (isAwsError(error, 'ResourceNotFoundException')) return { Item: undefined };
        throw error;
      }
    });
    return entryOf(answer.Item);
  }

  /** @throws ATTEMPT_FENCED */
  async take(owner: LoadOwner, fence: Fence, at: string): Promise<LedgerEntry> {
    await this.#ledger.provide(this.#context);
    return this.#update(owner, fence, {
      UpdateExpression: 'SET #fence = :fence, #epoch = :epoch, #at = :at',
      ConditionExpression: 'attribute_not_exists(#owner) OR (#fence = :fence AND #epoch <= :epoch) OR (#fence <> :fence AND #at <= :at)',
      ExpressionAttributeNames: { '#owner': 'owner', '#fence': 'fence', '#epoch': 'epoch', '#at': 'at' },
      ExpressionAttributeValues: { ':fence': { S: fence.key }, ':epoch': { N: String(fence.epoch) }, ':at': { S: at } },
    });
  }

  /** Whether the attempt still has its turn. @throws ATTEMPT_FENCED */
  async check(owner: LoadOwner, fence: Fence): Promise<void> {
    await this.#update(owner, fence, {
      UpdateExpression: 'SET #fence = :fence',
      ConditionExpression: held.ConditionExpression,
      ExpressionAttributeNames: held.ExpressionAttributeNames,
      ExpressionAttributeValues: heldBy(fence),
    });
  }

  /** @throws ATTEMPT_FENCED */
  async settle(owner: LoadOwner, fence: Fence, { receipts, checkpoint }: LedgerEntry): Promise<void> {
    await this.#update(owner, fence, {
      UpdateExpression: 'SET #receipts = :receipts, #checkpoint = :checkpoint',
      ConditionExpression: held.ConditionExpression,
      ExpressionAttributeNames: { ...held.ExpressionAttributeNames, '#receipts': 'receipts', '#checkpoint': 'checkpoint' },
      ExpressionAttributeValues: {
        ...heldBy(fence),
        ':receipts': { S: JSON.stringify(receipts.slice(-keptReceipts)) },
        ':checkpoint': { S: JSON.stringify(checkpoint) },
      },
    });
  }

  async #update(owner: LoadOwner, fence: Fence, update: Update): Promise<LedgerEntry> {
    const answer = await this.#service.call(`writing ${this.#ledger.name}`, this.#context, async (sdk, client, options) => {
      try {
        return await client.send(
          new sdk.UpdateItemCommand({ TableName: this.#ledger.name, Key: keyOf(owner), ReturnValues: 'ALL_NEW', ...update }),
          options,
        );
      } catch (error) {
        if (isAwsError(error, 'ConditionalCheckFailedException')) throw fenced(fence);
        throw error;
      }
    });
    return entryOf(answer.Attributes);
  }
}

interface Update {
  readonly UpdateExpression: string;
  readonly ConditionExpression: string;
  readonly ExpressionAttributeNames: Record<string, string>;
  readonly ExpressionAttributeValues: Record<string, AttributeValue>;
}

const held = {
  ConditionExpression: '#fence = :fence AND #epoch = :epoch',
  ExpressionAttributeNames: { '#fence': 'fence', '#epoch': 'epoch' },
} as const;
const heldBy = ({ key, epoch }: Fence): Record<string, AttributeValue> => ({ ':fence': { S: key }, ':epoch': { N: String(epoch) } });

const keyOf = ({ pipeline, step }: LoadOwner): Record<string, AttributeValue> => ({
  owner: { S: [pipeline, step].map(encodeURIComponent).join('/') },
});

const entryOf = (item: Record<string, AttributeValue> | undefined): LedgerEntry => ({
  checkpoint: JSON.parse(item?.['checkpoint']?.S ?? 'null') as Checkpoint | null,
  receipts: JSON.parse(item?.['receipts']?.S ?? '[]') as Receipt[],
});

const fenced = ({ key, epoch }: Fence): MillraceError =>
  new MillraceError('ATTEMPT_FENCED', {
    message: `Attempt ${epoch} at ${key} came too late.`,
    remedy: 'Nothing to do: the newer attempt goes on.',
    facts: { key, epoch },
  });
