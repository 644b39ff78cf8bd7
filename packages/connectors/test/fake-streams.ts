import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { type DynamoServer, dynamoServer } from '../../../test/dynamo-server.ts';

type Item = Record<string, AttributeValue>;

interface FakeShard {
  readonly id: string;
  readonly parent: string | null;
  readonly start: number;
  /** Of the last record, where there will be no other. */
  end: number | null;
  records: { readonly sequence: number; readonly body: object }[];
  /** Everything up to here is gone. */
  trimmed: number;
  /** How often it was read. */
  looks: number;
}

export interface FakeStreams extends AsyncDisposable {
  readonly settings: DynamoServer['settings'];
  /** A table with a stream, of as many shards. The key is `id`, a number, by default. */
  create(table: string, shards?: number, key?: Parameters<DynamoServer['create']>[1], view?: string): Promise<void>;
  put(table: string, item: Item): Promise<void>;
  remove(table: string, key: Item): Promise<void>;
  /** One open shard ends, and two begin. */
  split(table: string): void;
  /** What was written until now is gone, and shards that have ended are listed no more. */
  trim(table: string): void;
  /** The stream is turned off and on again: another one. */
  renew(table: string): void;
  items(table: string): Promise<Item[]>;
}

/** Tables of dynalite, and streams of them as DynamoDB's documentation describes them: shards that split, empty pages, iterators, trimming. */
export async function fakeStreams(): Promise<FakeStreams> {
  const tables = await dynamoServer();
  const streams = new Map<string, { label: number; key: readonly string[]; view: string; shards: FakeShard[] }>();
  let [sequence, shardNumber, calls] = [100, 0, 0];

  const arnOf = (table: string): string =>
    `arn:aws:dynamodb:eu-west-1:000000000000:table/${table}/stream/2026-01-0${streams.get(table)?.label}T00:00:00.000`;
  const streamAt = (arn: string) => {
    const [table] = [...streams.keys()].filter((name) => arnOf(name) === arn);
    const stream = table === undefined ? undefined : streams.get(table);
    if (!stream) throw new Fault('ResourceNotFoundException');
    return stream;
  };
  const newShard = (parent: string | null): FakeShard => ({
    id: `shardId-${String(++shardNumber).padStart(20, '0')}-${(shardNumber * 7919).toString(16)}`,
    parent,
    start: ++sequence,
    end: null,
    records: [],
    trimmed: 0,
    looks: 0,
  });

  // biome-ignore lint/suspicious/noExplicitAny: what a handler takes is what the API says.
  const handlers: Readonly<Record<string, (input: any) => object>> = {
    DescribeStream({ StreamArn, ExclusiveStartShardId }) {
      const { shards } = streamAt(StreamArn);
      const from = ExclusiveStartShardId === undefined ? 0 : shards.findIndex(({ id }) => id === ExclusiveStartShardId) + 1;
      const page = shards.slice(from, from + 3);
      return {
        StreamDescription: {
          StreamArn,
          Shards: page.map(({ id, parent, start, end }) => ({
            ShardId: id,
            ...(parent !== null && { ParentShardId: parent }),
            SequenceNumberRange: { StartingSequenceNumber: numbered(start), ...(end !== null && { EndingSequenceNumber: numbered(end) }) },
          })),
          ...(from + 3 < shards.length && { LastEvaluatedShardId: page.at(-1)?.id }),
        },
      };
    },
    GetShardIterator({ StreamArn, ShardId, ShardIteratorType, SequenceNumber }) {
      const shard = streamAt(StreamArn).shards.find(({ id }) => id === ShardId);
      if (!shard) throw new Fault('ResourceNotFoundException');
      if (ShardIteratorType === 'TRIM_HORIZON') return { ShardIterator: JSON.stringify([StreamArn, ShardId, shard.trimmed]) };
      const after = Number(SequenceNumber) - 1e9 - (ShardIteratorType === 'AT_SEQUENCE_NUMBER' ? 1 : 0);
      if (after < shard.trimmed) throw new Fault('TrimmedDataAccessException');
      return { ShardIterator: JSON.stringify([StreamArn, ShardId, after]) };
    },
    GetRecords({ ShardIterator, Limit = 1_000 }) {
      const [arn, id, after] = JSON.parse(ShardIterator) as [string, string, number];
      if (++calls % 13 === 0) throw new Fault('ExpiredIteratorException');
      const shard = streamAt(arn).shards.find((one) => one.id === id);
      if (!shard) throw new Fault('ResourceNotFoundException');
      if (after < shard.trimmed) throw new Fault('TrimmedDataAccessException');
      const left = shard.records.filter((record) => record.sequence > after);
      const some = ++shard.looks % 5 < 2 ? [] : left.slice(0, Math.min(Limit, 4)); // also two empty pages in a row
      const last = some.at(-1)?.sequence ?? after;
      const isOver = shard.end !== null && some.length === left.length;
      return {
        Records: some.map(({ body }) => body),
        ...(!isOver && { NextShardIterator: JSON.stringify([arn, id, last]) }),
      };
    },
  };

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      const { name, message } = error as Error;
      const isFault = error instanceof Fault;
      response
        .writeHead(isFault ? 400 : 500, { 'content-type': 'application/x-amz-json-1.0' })
        .end(JSON.stringify({ __type: isFault ? name : 'InternalServerError', message }));
    });
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString('utf8');
    const [service = '', operation = ''] = String(request.headers['x-amz-target']).split('.');
    if (service.startsWith('DynamoDBStreams')) {
      const result = handlers[operation]?.(JSON.parse(body));
      if (!result) throw new Fault('UnknownOperationException');
      return void response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' }).end(JSON.stringify(result));
    }
    const { 'content-length': _, connection: __, ...headers } = request.headers;
    const forwarded = await fetch(tables.settings.endpoint, { method: 'POST', headers: headers as Record<string, string>, body });
    const answered = (await forwarded.json()) as { Table?: { TableName: string } & Record<string, unknown> };
    if (operation === 'DescribeTable' && answered.Table && streams.has(answered.Table.TableName)) {
      answered.Table['StreamSpecification'] = {
        StreamEnabled: true,
        StreamViewType: streams.get(answered.Table.TableName)?.view,
      };
      answered.Table['LatestStreamArn'] = arnOf(answered.Table.TableName);
    }
    response.writeHead(forwarded.status, { 'content-type': 'application/x-amz-json-1.0' }).end(JSON.stringify(answered));
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const images = new Map<string, Item>();

  /** What is not changed by it is no record. */
  function record(table: string, name: string, item: Item | null): void {
    const before = images.get(`${table} ${name}`);
    if (JSON.stringify(before ?? null) === JSON.stringify(item)) return;
    item ? images.set(`${table} ${name}`, item) : images.delete(`${table} ${name}`);
    const { shards = [], key = [] } = streams.get(table) ?? {};
    const open = shards.filter(({ end }) => end === null);
    const shard = open[[...name].reduce((sum, char) => sum + char.charCodeAt(0), 0) % open.length] as FakeShard;
    sequence += 7;
    const image = (item ?? before) as Item;
    const dynamodb = {
      ApproximateCreationDateTime: Math.floor(Date.now() / 1_000),
      Keys: Object.fromEntries(key.map((column) => [column, image[column]])),
      ...(item && { NewImage: item }),
      ...(before && { OldImage: before }),
      SequenceNumber: numbered(sequence),
      SizeBytes: 50,
      StreamViewType: 'NEW_AND_OLD_IMAGES',
    };
    const eventName = item ? (before ? 'MODIFY' : 'INSERT') : 'REMOVE';
    shard.records.push({ sequence, body: { eventID: `event-${sequence}`, eventName, dynamodb } });
  }
  const nameOf = (table: string, item: Item): string => JSON.stringify(streams.get(table)?.key.map((column) => item[column]));

  return {
    settings: { ...tables.settings, endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}` },
    async create(table, shards = 1, key = { id: 'N' }, view = 'NEW_AND_OLD_IMAGES') {
      await tables.create(table, key);
      streams.set(table, { label: 1, key: Object.keys(key), view, shards: Array.from({ length: shards }, () => newShard(null)) });
    },
    async put(table, item) {
      await tables.put(table, item);
      record(table, nameOf(table, item), item);
    },
    async remove(table, key) {
      await tables.remove(table, key);
      record(table, nameOf(table, key), null);
    },
    split(table) {
      const stream = streams.get(table);
      const open = stream?.shards.filter(({ end }) => end === null) ?? [];
      // All of them, so that an item's changes stay in one line of descent whatever becomes of the remainder.
      for (const shard of open) {
        shard.end = sequence;
        stream?.shards.push(newShard(shard.id));
      }
      const [first] = open;
      if (open.length === 1 && first) stream?.shards.push(newShard(first.id));
    },
    trim(table) {
      const stream = streams.get(table);
      if (!stream) return;
      for (const shard of stream.shards) {
        shard.records = [];
        shard.trimmed = sequence;
      }
      stream.shards = stream.shards.filter(({ end }) => end === null);
    },
    renew(table) {
      const stream = streams.get(table);
      if (stream) streams.set(table, { ...stream, label: stream.label + 1, shards: [newShard(null)] });
    },
    items: (table) => tables.items(table),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      await tables[Symbol.asyncDispose]();
    },
  };
}

class Fault extends Error {
  constructor(name: string) {
    super(name);
    this.name = name;
  }
}

/** Sorts as a number does. */
const numbered = (sequence: number): string => `${1e9 + sequence}`;
