import type { _Record as StreamRecord } from '@aws-sdk/client-dynamodb-streams';
import { type Context, isAwsError } from '@millrace/core/runtime';
import type { StreamsService } from './client.ts';
import { gone, isOlder, type Shard, sequenceOf } from './shards.ts';

export interface ShardRecord {
  readonly shard: string;
  readonly record: StreamRecord;
}

export interface ShardPage {
  readonly records: readonly StreamRecord[];
  /** True after the last record that the shard will ever have. */
  readonly isOver: boolean;
}

/** Reads one shard on from a place. An iterator lives for 15 minutes, and is made anew where it has expired. */
export class ShardReader {
  readonly #service: StreamsService;
  readonly #arn: string;
  readonly #shard: Shard;
  #reached: string | null;
  #iterator: string | null = null;

  constructor(service: StreamsService, arn: string, shard: Shard, reached: string | null) {
    this.#service = service;
    this.#arn = arn;
    this.#shard = shard;
    this.#reached = reached;
  }

  /** An empty page says nothing of what follows, unless it is over. @throws RESYNC_REQUIRED where what follows was trimmed */
  async next(context: Context): Promise<ShardPage> {
    for (;;) {
      this.#iterator ??= await this.#begin(context);
      const iterator = this.#iterator;
      const page = await this.#service.call(`reading ${this.#shard.id}`, context, async (sdk, client, options) => {
        try {
          return await client.send(new sdk.GetRecordsCommand({ ShardIterator: iterator, Limit: 1_000 }), options);
        } catch (error) {
          if (isAwsError(error, 'ExpiredIteratorException')) return null;
          throw trimmed(error, this.#shard.id);
        }
      });
      if (page === null) {
        this.#iterator = null;
        continue;
      }
      const records = page.Records ?? [];
      this.#reached = records.at(-1)?.dynamodb?.SequenceNumber ?? this.#reached;
      this.#iterator = page.NextShardIterator ?? null;
      return { records, isOver: page.NextShardIterator === undefined || page.NextShardIterator === null };
    }
  }

  async #begin(context: Context): Promise<string> {
    const after = sequenceOf(this.#reached);
    const shard = { StreamArn: this.#arn, ShardId: this.#shard.id };
    const place =
      after === null
        ? ({ ShardIteratorType: 'AT_SEQUENCE_NUMBER', SequenceNumber: this.#shard.start } as const)
        : ({ ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', SequenceNumber: after } as const);
    const { ShardIterator = '' } = await this.#service.call(
      `beginning to read ${this.#shard.id}`,
      context,
      async (sdk, client, options) => {
        const begin = (at: typeof place | { readonly ShardIteratorType: 'TRIM_HORIZON' }) =>
          client.send(new sdk.GetShardIteratorCommand({ ...shard, ...at }), options);
        try {
          return await begin(place);
        } catch (error) {
          if (isAwsError(error, 'TrimmedDataAccessException') && isOlder(this.#reached, context.now().getTime()))
            return begin({ ShardIteratorType: 'TRIM_HORIZON' });
          throw trimmed(error, this.#shard.id);
        }
      },
    );
    return ShardIterator;
  }
}

const trimmed = (error: unknown, shard: string): unknown =>
  isAwsError(error, 'TrimmedDataAccessException', 'ResourceNotFoundException')
    ? gone(`changes of shard ${shard} were trimmed before they were read`)
    : error;
