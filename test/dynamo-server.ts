import { once } from 'node:events';
import type { Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import {
  type AttributeValue,
  CreateTableCommand,
  DeleteItemCommand,
  DynamoDBClient,
  PutItemCommand,
  paginateScan,
  type ScalarAttributeType,
} from '@aws-sdk/client-dynamodb';

export interface DynamoServer extends AsyncDisposable {
  /** What a connection is given to reach it. */
  readonly settings: {
    readonly region: string;
    readonly endpoint: string;
    readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  };
  /** Partition key first: `{ customer: 'S', id: 'N' }`. */
  create(table: string, key: Readonly<Record<string, ScalarAttributeType>>): Promise<void>;
  put(table: string, ...items: Record<string, AttributeValue>[]): Promise<void>;
  remove(table: string, key: Record<string, AttributeValue>): Promise<void>;
  /** All items, in no order. */
  items(table: string): Promise<Record<string, AttributeValue>[]>;
}

/**
 * A DynamoDB of one's own in this process: dynalite, whose answers its authors hold against the real one. It has segments, conditions and
 * limits as DynamoDB has them, and no streams.
 */
export async function dynamoServer(): Promise<DynamoServer> {
  const dynalite = createRequire(import.meta.url)('dynalite') as (options: Readonly<Record<string, unknown>>) => Server;
  const server = dynalite({ createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const settings = {
    region: 'eu-west-1',
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  };
  const client = new DynamoDBClient(settings);
  return {
    settings,
    async create(table, key) {
      const names = Object.keys(key);
      await client.send(
        new CreateTableCommand({
          TableName: table,
          AttributeDefinitions: names.map((AttributeName) => ({ AttributeName, AttributeType: key[AttributeName] })),
          KeySchema: names.map((AttributeName, place) => ({ AttributeName, KeyType: place === 0 ? 'HASH' : 'RANGE' })),
          BillingMode: 'PAY_PER_REQUEST',
        }),
      );
    },
    async put(table, ...items) {
      for (const Item of items) await client.send(new PutItemCommand({ TableName: table, Item }));
    },
    async remove(table, key) {
      await client.send(new DeleteItemCommand({ TableName: table, Key: key }));
    },
    async items(table) {
      const found: Record<string, AttributeValue>[] = [];
      for await (const { Items = [] } of paginateScan({ client }, { TableName: table })) found.push(...Items);
      return found;
    },
    async [Symbol.asyncDispose]() {
      client.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
