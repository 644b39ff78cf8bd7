import {
  batchLimits,
  batchOfRows,
  type Channel,
  type ColumnBatch,
  type Context,
  isMillraceError,
  MillraceError,
  type ReadPlan,
  type ReadRequest,
  type RowSchema,
  type RowSource,
  type Split,
  valuesVector,
  type Window,
  type WireFormat,
} from '@millrace/core/runtime';
import type { HttpClient } from './client/client.ts';
import { elementsOf, parseRecord } from './json/parse.ts';
import { plainValue } from './json/plain-value.ts';
import { type Came, listing } from './listing.ts';
import { recordReader } from './record-reader.ts';
import { Repeats } from './repeats.ts';
import type { Reading } from './rows-options.ts';
import { fixWindow, inWindow } from './since.ts';
import { validated } from './standard-schema.ts';

/** A listing of an API, which is read from its first page to its last: one split. */
export class HttpSource implements RowSource {
  readonly #client: HttpClient;
  readonly #reading: Reading;
  readonly #schema: RowSchema;
  readonly #context: Context;
  #window: Window | null = null;

  constructor(client: HttpClient, reading: Reading, schema: RowSchema, context: Context) {
    this.#client = client;
    this.#reading = reading;
    this.#schema = schema;
    this.#context = context;
  }

  /** As declared: each record is held against it when it is read. */
  async describe(): Promise<RowSchema> {
    return this.#schema;
  }

  async plan({ since, earlier }: ReadRequest): Promise<ReadPlan> {
    this.#window = since ? (earlier?.window ?? fixWindow(this.#typeOf(since.column), since, this.#context.now())) : null;
    return {
      schema: this.#schema,
      absorbed: [],
      window: this.#window,
      splits: [{ id: 'all', estimate: { rows: null, bytes: null }, where: {} }],
      estimate: { rows: null, bytes: null },
      continuesEarlier: false,
    };
  }

  offers(): WireFormat[] {
    return ['batches'];
  }

  async open(_: Split, format: WireFormat): Promise<Channel> {
    if (format !== 'batches')
      throw new MillraceError('UNSUPPORTED', { message: `The records of an API are not ${format}.`, remedy: 'Ask for batches.' });
    return { format, schema: this.#schema, batches: this.#batches() };
  }

  async *#batches(): AsyncGenerator<ColumnBatch, void, undefined> {
    const read = this.#reader();
    const cameBefore = this.#repeats();
    const wanted = this.#wanted();
    let rows: unknown[][] = [];
    let bytes = 0;
    for await (const page of listing(this.#client, this.#reading, this.#window, this.#context)) {
      let record = 0;
      const came = { repeated: 0, changed: 0 };
      for await (const text of page.records()) {
        record++;
        const made = await read(text, () => `Record ${record} of page ${page.number} of "${this.#reading.path}"`);
        const before = made.map(cameBefore);
        if (made.length > 0 && !before.includes(null)) came[before.includes('changed') ? 'changed' : 'repeated']++;
        bytes += text.length;
        for (const [at, row] of made.entries()) {
          if (before[at] === 'repeated' || !wanted(row)) continue;
          rows.push(row);
          if (rows.length < batchLimits.rows && bytes < batchLimits.bytes) continue;
          yield this.#batch(rows);
          rows = [];
          bytes = 0;
        }
      }
      page.went(came);
    }
    if (rows.length > 0) yield this.#batch(rows);
  }

  /**
   * Whether a row came before. Within a window one that has changed meanwhile is another version of it, and handed on: no later window has it, or the
   * window leaves it out.
   */
  #repeats(): (row: readonly unknown[]) => keyof Came | null {
    const { columns, key } = this.#schema;
    if (!key) return () => null;
    const places = key.map((name) => columns.findIndex((column) => column.name === name));
    const cursor = columns.findIndex(({ name }) => name === this.#window?.column);
    const keys = new Repeats();
    const versions = cursor < 0 ? keys : new Repeats();
    return (row) => {
      const values = places.map((place) => row[place]);
      const isKnown = keys.seen(values);
      if (versions === keys) return isKnown ? 'repeated' : null;
      if (versions.seen([...values, row[cursor]])) return 'repeated';
      return isKnown ? 'changed' : null;
    };
  }

  #batch(rows: readonly (readonly unknown[])[]): ColumnBatch {
    this.#context.progress({ rows: rows.length });
    const vectors = this.#schema.columns.map(({ type }, place) =>
      valuesVector(
        type,
        rows.map((row) => row[place]),
      ),
    );
    return { schema: this.#schema, rowCount: rows.length, vectors };
  }

  /** Rows of a record; an error says where the record is. */
  #reader(): (text: string, where: () => string) => unknown[][] | Promise<unknown[][]> {
    const { fields, each, options } = this.#reading;
    const { schema } = options;
    const plain = recordReader(this.#schema.columns, fields, each);
    return schema
      ? async (text, where) => {
          try {
            const rows = [];
            for (const element of elementTexts(text, each)) rows.push(await validated(schema, plainValue(element)));
            const { vectors } = batchOfRows(this.#schema, rows);
            return rows.map((_, row) => vectors.map((vector) => vector.get(row)));
          } catch (error) {
            throw placed(error, where());
          }
        }
      : (text, where) => {
          try {
            return plain(text);
          } catch (error) {
            throw placed(error, where());
          }
        };
  }

  #wanted(): (row: readonly unknown[]) => boolean {
    const window = this.#window;
    if (!window) return () => true;
    const place = this.#schema.columns.findIndex(({ name }) => name === window.column);
    const within = inWindow(this.#typeOf(window.column), window);
    return (row) => row[place] !== null && within(row[place]);
  }

  #typeOf(column: string) {
    return this.#schema.columns.find(({ name }) => name === column)!.type;
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#client[Symbol.asyncDispose]();
  }
}

/** The record, or with `each` the elements of that list in it; held against the grammar. */
function elementTexts(text: string, each: readonly string[] | null): string[] {
  let fields: Parameters<typeof parseRecord>[1] = { inside: new Map(), columns: [0] };
  for (const name of [...(each ?? [])].reverse()) fields = { inside: new Map([[name, fields]]), columns: [] };
  const [found] = parseRecord(text, fields, 1);
  if (each === null) return [text];
  if (found?.is === 'absent' || found?.is === 'null') return [];
  if (found?.is === 'list') return elementsOf(found.text).map((one) => ('text' in one ? one.text : one.is));
  throw new MillraceError('TYPE_MISMATCH', {
    message: `"${each.join('.')}" is not a list.`,
    remedy: 'Name a list with each, or leave it out.',
  });
}

function placed(error: unknown, where: string): unknown {
  if (!isMillraceError(error)) return error;
  return new MillraceError(error.code, {
    message: `${where}: ${error.message}`,
    remedy: error.remedy,
    facts: error.facts,
    cause: error.cause,
  });
}
