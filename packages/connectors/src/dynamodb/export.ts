import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createGunzip } from 'node:zlib';
import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import {
  batchLimits,
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
import { openStorage } from '../s3/open-storage.ts';
import type { Storage } from '../s3/storage.ts';
import type { FilePlace } from '../s3/target.ts';
import { attributeReader } from './attribute.ts';
import { readManifest } from './export-manifest.ts';

/** The items of a full export to S3, as rows: as of one moment, and without a unit of the table's read capacity. */
export function exportOf(connection: Connection, place: FilePlace, prefix: string, table: Table): Selection<never> {
  const schema = { columns: table.columns, ...(table.key && { key: table.key }) };
  const folder = prefix.endsWith('/') || prefix === '' ? prefix : `${prefix}/`;
  return Object.freeze({
    kind: 'selection',
    description: { connector: 'dynamodb', object: `export ${folder} of ${table.name}`, connection: place.connection.label },
    connection,
    schema,
    offers: ['batches'],
    absorbs: () => false,
    async open(context: Context) {
      const url = typeof place.url === 'string' ? place.url : await context.secret(place.url);
      return new TableExport(await openStorage(url, place.settings, context, folder), table, context);
    },
  } satisfies Selection<never>);
}

class TableExport implements RowSource {
  readonly #storage: Storage;
  readonly #table: Table;
  readonly #context: Context;

  constructor(storage: Storage, table: Table, context: Context) {
    this.#storage = storage;
    this.#table = table;
    this.#context = context;
  }

  async describe(): Promise<Table> {
    return this.#table;
  }

  /** A split for each file. They never change, so what an earlier attempt has staged of them may be used. */
  async plan({ since, earlier }: ReadRequest): Promise<ReadPlan> {
    if (since)
      throw new MillraceError('UNSUPPORTED', {
        message: `The export of "${this.#table.name}" cannot be read since "${since.column}": its items are in no order.`,
        remedy: 'Leave `since` out.',
      });
    const { tableArn, exportTime, items, files } = await readManifest(this.#storage);
    if (!tableArn.endsWith(`:table/${this.#table.name}`))
      throw new MillraceError('SCHEMA_DRIFT', {
        message: `${this.#storage.url} is an export of ${tableArn}, and "${this.#table.name}" is declared.`,
        remedy: 'Correct the name in the table() declaration, or the folder.',
        facts: { tableArn },
      });
    this.#context.log.info(`reads the export of ${exportTime}: ${items} items in ${files.length} files`);
    const splits = await Promise.all(
      files.map(async ({ key, items }, place): Promise<Split> => {
        const found = await this.#storage.head(key);
        if (!found) throw corrupt(this.#storage.url + key, 'is not there');
        return {
          id: `file-${place}`,
          estimate: { rows: items, bytes: found.size },
          where: { key, etag: found.etag, size: found.size, items },
        };
      }),
    );
    return {
      schema: { columns: this.#table.columns, ...(this.#table.key && { key: this.#table.key }) },
      absorbed: [],
      window: null,
      splits,
      estimate: { rows: items, bytes: splits.reduce((sum, { estimate }) => sum + (estimate.bytes ?? 0), 0) },
      continuesEarlier: earlier !== null && JSON.stringify(earlier.splits) === JSON.stringify(splits),
    };
  }

  offers(): ['batches'] {
    return ['batches'];
  }

  async open(split: Split) {
    return { format: 'batches', schema: this.#table, batches: this.#batches(split) } as const;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#storage[Symbol.asyncDispose]();
  }

  async *#batches({ id, where }: Split): AsyncGenerator<ColumnBatch, void, undefined> {
    const { key, etag, size, items } = where as { key: string; etag: string; size: number; items: number };
    const { signal, spool } = this.#context;
    const copy = join(spool, `export-${id}.json.gz`);
    const path = await this.#storage.fetch({ key, etag, size }, copy);
    let read = 0;
    let [batch, bytes]: [Record<string, AttributeValue>[], number] = [[], 0];
    try {
      for await (const line of linesOf(path, signal)) {
        signal.throwIfAborted();
        batch.push(itemOf(line));
        read++;
        bytes += line.length;
        if (batch.length < batchLimits.rows && bytes < batchLimits.bytes) continue;
        yield this.#batchOf(batch);
        [batch, bytes] = [[], 0];
      }
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof MillraceError ? error : corrupt(this.#storage.url + key, `cannot be read (${(error as Error).message})`);
    } finally {
      if (path === copy) await rm(copy, { force: true });
    }
    if (read !== items) throw corrupt(this.#storage.url + key, `has ${read} items, and ${items} by the manifest`);
    if (batch.length > 0) yield this.#batchOf(batch);
  }

  #batchOf(items: readonly Record<string, AttributeValue>[]): ColumnBatch {
    const vectors = this.#table.columns.map((column) => {
      const read = attributeReader(column);
      return valuesVector(
        column.type,
        items.map((item) => read(item)),
      );
    });
    return { schema: this.#table, rowCount: items.length, vectors };
  }
}

/** An item has 400 KB; bytes grow by a third, and names of types come with every value. */
const longestLine = 16 * 1024 * 1024;

/** Only a line feed ends a line: within a value may stand whatever else looks like an end. */
async function* linesOf(path: string, signal: AbortSignal): AsyncGenerator<string> {
  const input = createReadStream(path, { signal });
  const unpacked = path.endsWith('.gz') ? input.pipe(createGunzip()) : input;
  input.on('error', (error) => unpacked.destroy(error));
  let rest: Buffer[] = [];
  let restBytes = 0;
  try {
    for await (const chunk of unpacked as AsyncIterable<Buffer>) {
      let from = 0;
      for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
        const line = Buffer.concat([...rest, chunk.subarray(from, end)]).toString('utf8');
        if (line !== '') yield line;
        [rest, restBytes] = [[], 0];
        from = end + 1;
      }
      if (from === chunk.length) continue;
      rest.push(chunk.subarray(from));
      restBytes += chunk.length - from;
      if (restBytes > longestLine) throw new RangeError('one line is longer than any item');
    }
  } finally {
    input.destroy();
  }
  if (rest.length > 0) yield Buffer.concat(rest).toString('utf8');
}

/** `{"Item":{"id":{"N":"1"}}}`, bytes as base64. */
const itemOf = (line: string): Record<string, AttributeValue> =>
  JSON.parse(line, (name, value: unknown) => {
    if (name === 'B' && typeof value === 'string') return Buffer.from(value, 'base64');
    return name === 'BS' && Array.isArray(value) ? value.map((one) => Buffer.from(one as string, 'base64')) : value;
  }).Item as Record<string, AttributeValue>;

const corrupt = (url: string, what: string): MillraceError =>
  new MillraceError('FILE_CORRUPT', { message: `${url} ${what}.`, remedy: 'Copy it again, or export the table again.', facts: { url } });
