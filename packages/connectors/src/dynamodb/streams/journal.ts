import { gunzipSync, gzipSync } from 'node:zlib';
import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { type Context, isAwsError, MillraceError, type Position, type StreamName } from '@millrace/core/runtime';
import type { DynamoRequest, DynamoService } from '../client.ts';
import type { LedgerTable } from '../ledger-table.ts';
import type { Reached } from './shards.ts';

/** How far each stream was read, by table. */
export type Vector = Readonly<Record<string, Reached>>;

export interface Head {
  /** Streams by table: those of a table whose stream was made anew are others. */
  readonly arns: Readonly<Record<string, string>>;
  readonly origin: Position;
  /** Of the last group that was cut, and of the last one that all sinks have. */
  readonly last: Position;
  readonly released: Position;
}

/**
 * What a stream is made of, written down before anybody gets it: streams of DynamoDB have no order among their shards, so where one group ends
 * and the next begins is decided once, and is the same for whoever reads it again. One item for the head, and one for each group that some
 * sink may not have: how far it goes in each shard.
 */
export class Journal {
  readonly #service: DynamoService;
  readonly #table: LedgerTable;
  readonly #context: Context;
  readonly #name: string;
  readonly #epoch: number;

  constructor(service: DynamoService, table: LedgerTable, name: StreamName, epoch: number, context: Context) {
    this.#service = service;
    this.#table = table;
    this.#context = context;
    this.#name = `stream:${[name.pipeline, name.step].map(encodeURIComponent).join('/')}`;
    this.#epoch = epoch;
  }

  get name(): string {
    return `${this.#table.name}/${this.#name}`;
  }

  async head(): Promise<Head | null> {
    const item = await this.#get(this.#name);
    return item ? (JSON.parse(item['head']?.S ?? 'null') as Head | null) : null;
  }

  /** A stream in place of the one before, of which nothing is kept. @throws ATTEMPT_FENCED */
  async begin(head: Head, vector: Vector, before: Head | null): Promise<void> {
    await this.#table.provide(this.#context);
    await this.#putEntry(head.origin, vector);
    await this.#putHead(head, 'attribute_not_exists(#owner) OR #epoch <= :epoch');
    if (before) await this.#forget(before.released, null);
  }

  /** Takes a stream over that is there. @throws ATTEMPT_FENCED */
  async take(): Promise<Head> {
    const { Attributes } = await this.#owning((sdk, client, options) =>
      client.send(
        new sdk.UpdateItemCommand({
          TableName: this.#table.name,
          Key: { owner: { S: this.#name } },
          UpdateExpression: 'SET #epoch = :epoch',
          ConditionExpression: '#epoch <= :epoch',
          ExpressionAttributeNames: { '#epoch': 'epoch' },
          ExpressionAttributeValues: { ':epoch': { N: String(this.#epoch) } },
          ReturnValues: 'ALL_NEW',
        }),
        options,
      ),
    );
    return JSON.parse(Attributes?.['head']?.S ?? 'null') as Head;
  }

  /** Another set of tables from the last place on. @throws ATTEMPT_FENCED */
  async adopt(head: Head, vector: Vector): Promise<Head> {
    await this.#putEntry(head.last, vector);
    await this.#putHead(head, '#epoch = :epoch');
    return head;
  }

  /** Null where it was released long ago. */
  async vector(position: Position): Promise<Vector | null> {
    const item = await this.#get(this.#entryOf(position));
    return item?.['vector']?.B ? unpacked(item['vector'].B) : null;
  }

  /** The position of the group after this one, where it was cut already. */
  async next(position: Position): Promise<Position | null> {
    const item = await this.#get(this.#entryOf(position));
    return (item?.['next']?.S ?? null) as Position | null;
  }

  /** A group that goes from `head.last` to there. It is there with the head; what stands behind the head's last place is nobody's. @throws ATTEMPT_FENCED */
  async cut(head: Head, to: Position, vector: Vector): Promise<Head> {
    const next: Head = { ...head, last: to };
    await this.#putEntry(to, vector);
    await this.#link(head.last, to);
    await this.#putHead(next, '#epoch = :epoch');
    return next;
  }

  /** @throws ATTEMPT_FENCED */
  async release(head: Head, to: Position): Promise<Head> {
    const next: Head = { ...head, released: to };
    await this.#putHead(next, '#epoch = :epoch');
    await this.#forget(head.released, to);
    return next;
  }

  /** What stands between two places, or from one on. */
  async #forget(from: Position, to: Position | null): Promise<void> {
    for (let at: Position | null = from; at !== null && (to === null || at < to); ) {
      const after: Position | null = await this.next(at);
      await this.#delete(this.#entryOf(at));
      at = after;
    }
  }

  #entryOf(position: Position): string {
    return `${this.#name}@${position}`;
  }

  async #get(owner: string): Promise<Record<string, AttributeValue> | undefined> {
    const { Item } = await this.#service.call(`reading ${this.#table.name}`, this.#context, async (sdk, client, options) => {
      try {
        return await client.send(
          new sdk.GetItemCommand({ TableName: this.#table.name, Key: { owner: { S: owner } }, ConsistentRead: true }),
          options,
        );
      } catch (error) {
        if (isAwsError(error, 'ResourceNotFoundException')) return { Item: undefined };
        throw error;
      }
    });
    return Item;
  }

  #putEntry(position: Position, vector: Vector): Promise<void> {
    return this.#update(position, 'SET #vector = :value, #epoch = :epoch', '#vector', packed(vector));
  }

  #link(from: Position, to: Position): Promise<void> {
    return this.#update(from, 'SET #next = :value, #epoch = :epoch', '#next', { S: to });
  }

  /** An attempt that wakes up late changes no entry that a later one has written. */
  async #update(position: Position, expression: string, name: '#vector' | '#next', value: AttributeValue): Promise<void> {
    await this.#owning((sdk, client, options) =>
      client.send(
        new sdk.UpdateItemCommand({
          TableName: this.#table.name,
          Key: { owner: { S: this.#entryOf(position) } },
          UpdateExpression: expression,
          ConditionExpression: 'attribute_not_exists(#epoch) OR #epoch <= :epoch',
          ExpressionAttributeNames: { [name]: name.slice(1), '#epoch': 'epoch' },
          ExpressionAttributeValues: { ':value': value, ':epoch': { N: String(this.#epoch) } },
        }),
        options,
      ),
    );
  }

  async #delete(owner: string): Promise<void> {
    await this.#service.call(`writing ${this.#table.name}`, this.#context, (sdk, client, options) =>
      client.send(new sdk.DeleteItemCommand({ TableName: this.#table.name, Key: { owner: { S: owner } } }), options),
    );
  }

  async #putHead(head: Head, condition: string): Promise<void> {
    await this.#owning((sdk, client, options) =>
      client.send(
        new sdk.PutItemCommand({
          TableName: this.#table.name,
          Item: { owner: { S: this.#name }, head: { S: JSON.stringify(head) }, epoch: { N: String(this.#epoch) } },
          ConditionExpression: condition,
          ExpressionAttributeNames: { '#epoch': 'epoch', ...(condition.includes('#owner') && { '#owner': 'owner' }) },
          ExpressionAttributeValues: { ':epoch': { N: String(this.#epoch) } },
        }),
        options,
      ),
    );
  }

  /** A write on the condition that no later attempt has come. @throws ATTEMPT_FENCED */
  #owning<Answer>(write: DynamoRequest<Answer>): Promise<Answer> {
    return this.#service.call(`writing ${this.#table.name}`, this.#context, async (sdk, client, options) => {
      try {
        return await write(sdk, client, options);
      } catch (error) {
        if (isAwsError(error, 'ConditionalCheckFailedException')) throw fenced(this.#name);
        throw error;
      }
    });
  }
}

/** An item has 400 KB: names of shards repeat themselves. */
const packed = (vector: Vector): AttributeValue => ({ B: gzipSync(JSON.stringify(vector)) });
const unpacked = (bytes: Uint8Array): Vector => JSON.parse(gunzipSync(bytes).toString('utf8')) as Vector;

const fenced = (stream: string): MillraceError =>
  new MillraceError('ATTEMPT_FENCED', {
    message: `A later attempt reads ${stream}.`,
    remedy: 'Nothing to do: the later attempt goes on.',
    facts: { stream },
  });
