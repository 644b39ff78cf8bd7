import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import {
  type ColumnBatch,
  type Connection,
  type Context,
  MillraceError,
  type ReadPlan,
  type ReadRequest,
  type RowSource,
  type Selection,
  type Split,
  type Table,
  valuesVector,
} from '@millrace/core/runtime';
import { attributeReader } from './attribute.ts';
import type { DynamoService } from './client.ts';
import { describeTable, type TableFacts } from './describe.ts';
import { Pace } from './pace.ts';

export interface ScanOptions {
  /** Parts that are read side by side; by default as many as `splitBytes` makes of the table's size. */
  readonly segments?: number;
  /** Reads what was written last, at twice the cost. False by default. */
  readonly consistent?: boolean;
  /** Read capacity units that the scan may use in a second, in each process that reads. No limit by default. */
  readonly readUnits?: number;
}

/** DynamoDB allows a million; nobody has so many connections. */
const mostSegments = 4_096;

/** The items of a table as rows of the columns that are declared. */
export function scanOf<T extends Table>(
  connection: Connection,
  service: DynamoService,
  table: T,
  options: ScanOptions = {},
): Selection<never> {
  const { segments, consistent = false, readUnits } = options;
  for (const [name, value] of Object.entries({ segments, readUnits })) {
    if (value === undefined || (value > 0 && (name !== 'segments' || (Number.isInteger(value) && value <= mostSegments)))) continue;
    throw new MillraceError('PIPELINE_INVALID', {
      message: `scan("${table.name}"): ${name} is ${value}.`,
      remedy: `Give a number above 0${name === 'segments' ? `, ${mostSegments} at most` : ''}.`,
    });
  }
  return Object.freeze({
    kind: 'selection',
    description: {
      connector: 'dynamodb',
      object: table.name,
      connection: connection.label,
      options: { consistent, ...(segments && { segments }), ...(readUnits && { readUnits }) },
    },
    connection,
    schema: { columns: table.columns, ...(table.key && { key: table.key }) },
    offers: ['batches'],
    absorbs: () => false,
    open: async (context: Context) => new TableScan(service, table, options, context),
  } satisfies Selection<never>);
}

class TableScan implements RowSource {
  readonly #service: DynamoService;
  readonly #table: Table;
  readonly #options: ScanOptions;
  readonly #context: Context;
  readonly #pace: Pace | null;
  #facts: TableFacts | null = null;

  constructor(service: DynamoService, table: Table, options: ScanOptions, context: Context) {
    this.#service = service;
    this.#table = table;
    this.#options = options;
    this.#context = context;
    this.#pace = options.readUnits === undefined ? null : new Pace(options.readUnits, () => context.now().getTime());
  }

  async describe() {
    this.#facts ??= await describeTable(this.#service, this.#table, this.#context);
    return this.#table;
  }

  async plan({ since, splitBytes }: ReadRequest): Promise<ReadPlan> {
    if (since)
      throw new MillraceError('UNSUPPORTED', {
        message: `"${this.#table.name}" cannot be read since "${since.column}": DynamoDB has no order over a whole table, so every read is one of all items.`,
        remedy: 'Leave `since` out.',
      });
    await this.describe();
    const { bytes, items } = this.#facts as TableFacts;
    const of = this.#options.segments ?? Math.min(Math.max(Math.ceil(bytes / splitBytes), 1), mostSegments);
    const estimate = { rows: Math.ceil(items / of), bytes: Math.ceil(bytes / of) };
    const splits = Array.from(
      { length: of },
      (_, segment): Split => ({ id: `segment-${segment}-of-${of}`, estimate, where: { segment, of } }),
    );
    return {
      schema: { columns: this.#table.columns, ...(this.#table.key && { key: this.#table.key }) },
      absorbed: [],
      window: null,
      splits,
      estimate: { rows: items, bytes },
      // Nothing holds the items still between two reads.
      continuesEarlier: false,
    };
  }

  offers(): ['batches'] {
    return ['batches'];
  }

  async open({ where }: Split) {
    return { format: 'batches', schema: this.#table, batches: this.#batches(where['segment'] as number, where['of'] as number) } as const;
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /** A page of 1 MB each. */
  async *#batches(segment: number, of: number): AsyncGenerator<ColumnBatch, void, undefined> {
    const { columns, name } = this.#table;
    const readers = columns.map(attributeReader);
    const names = Object.fromEntries(columns.map((column, place) => [`#c${place}`, column.name]));
    let after: Record<string, AttributeValue> | undefined;
    do {
      await this.#pace?.turn(this.#context.signal);
      const page = await this.#service.call(`scanning ${name}`, this.#context, (sdk, client, options) =>
        client.send(
          new sdk.ScanCommand({
            TableName: name,
            Segment: segment,
            TotalSegments: of,
            ConsistentRead: this.#options.consistent ?? false,
            ProjectionExpression: Object.keys(names).join(', '),
            ExpressionAttributeNames: names,
            ReturnConsumedCapacity: 'TOTAL',
            ...(after && { ExclusiveStartKey: after }),
          }),
          options,
        ),
      );
      this.#pace?.spent(page.ConsumedCapacity?.CapacityUnits ?? 0);
      const items = page.Items ?? [];
      if (items.length > 0) {
        const vectors = columns.map((column, place) => {
          const read = readers[place]!;
          return valuesVector(
            column.type,
            items.map((item) => read(item)),
          );
        });
        yield { schema: this.#table, rowCount: items.length, vectors };
      }
      after = page.LastEvaluatedKey;
    } while (after !== undefined);
  }
}
