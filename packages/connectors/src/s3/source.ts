import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  type BytesChannel,
  type Channel,
  type ColumnBatch,
  type Context,
  decodeCsv,
  MillraceError,
  outputColumns,
  type ReadPlan,
  type ReadRequest,
  type RowSchema,
  type RowSource,
  type Split,
  type WireFormat,
} from '@millrace/core/runtime';
import { type CsvDialect, filesToCsv, type InputFile } from '../duckdb/index.ts';
import { listManifests } from './dataset.ts';
import { glob } from './glob.ts';
import { changed } from './mismatch.ts';
import { fileSplits, type ReadFile, readFilesOf } from './split.ts';
import type { FileReader } from './storage.ts';

export interface FileReading {
  readonly from:
    | { readonly kind: 'glob'; readonly pattern: string }
    | { readonly kind: 'dataset'; readonly prefix: string; readonly table?: string };
  /** Of a pattern's files; a dataset's manifests say it. */
  readonly format: InputFile['format'] | null;
  readonly csv?: CsvDialect;
  readonly mayBeEmpty: boolean;
  readonly maxRowBytes?: number;
}

export class FileSource implements RowSource {
  readonly #storage: FileReader;
  readonly #reading: FileReading;
  readonly #schema: RowSchema;
  readonly #context: Context;
  #absorbed: ReadPlan['absorbed'] = [];

  constructor(storage: FileReader, reading: FileReading, schema: RowSchema, context: Context) {
    this.#storage = storage;
    this.#reading = reading;
    this.#schema = schema;
    this.#context = context;
  }

  /** As declared: each file is held against it when it is opened, before a row of it is read. */
  async describe(): Promise<RowSchema> {
    return this.#schema;
  }

  async plan({ absorbed, since, splitBytes, earlier }: ReadRequest): Promise<ReadPlan> {
    if (since) {
      throw new MillraceError('UNSUPPORTED', {
        message: `Files cannot be read since a value of "${since.column}": nothing tells which of them hold it.`,
        remedy: 'Leave "since" out and load with mode merge, or name the new files only, such as a pattern with the day in it.',
      });
    }
    this.#absorbed = absorbed;
    // The files are as they were, or opening them says so.
    if (earlier && JSON.stringify(earlier.absorbed) === JSON.stringify(absorbed)) return { ...earlier, continuesEarlier: true };
    const found = await this.#files();
    const files = found ?? [];
    if (found === null && !this.#reading.mayBeEmpty) throw this.#nothing();
    const whole = absorbed.some(({ op }) => op === 'dedupe');
    const columns = absorbed.reduce((input, op) => outputColumns(op, input), [...this.#schema.columns]);
    const counted = files.every(({ rows }) => rows !== null) && !absorbed.some(({ op }) => op === 'filter' || op === 'dedupe');
    return {
      schema: { columns, ...(this.#schema.key && { key: this.#schema.key }) },
      absorbed,
      window: null,
      splits: fileSplits(files, whole ? Number.POSITIVE_INFINITY : splitBytes),
      estimate: {
        rows: counted ? files.reduce((sum, { rows }) => sum + (rows ?? 0), 0) : null,
        bytes: files.reduce((sum, { size }) => sum + size, 0),
      },
      continuesEarlier: false,
      ...(this.#storage.shared && { shared: {} }),
    };
  }

  async join({ absorbed }: ReadPlan): Promise<void> {
    this.#absorbed = absorbed;
  }

  offers(): WireFormat[] {
    return ['csv', 'batches'];
  }

  async open(split: Split, format: WireFormat): Promise<Channel> {
    const channel = await this.#csv(readFilesOf(split));
    return format === 'batches' ? { format, schema: channel.schema, batches: countedBatches(channel) } : channel;
  }

  async #csv(files: readonly ReadFile[]): Promise<BytesChannel> {
    const context = this.#context;
    const copies: string[] = [];
    const input: InputFile[] = [];
    const forget = () => Promise.all(copies.map((path) => rm(path, { force: true })));
    try {
      for (const [index, file] of files.entries()) {
        const copy = join(
          context.spool,
          `in-${process.pid}-${++fetched}-${index}${basename(file.key)
            .replace(/^[^.]*/, '')
            .replace(/[^\w.]/g, '')}`,
        );
        copies.push(copy);
        input.push({
          path: await this.#storage.fetch(file, copy),
          label: this.#storage.url + file.key,
          format: file.format,
          codec: file.codec,
          ...(file.absent && { absent: file.absent }),
          ...(this.#reading.csv && { csv: this.#reading.csv }),
        });
      }
      const { maxRowBytes } = this.#reading;
      const channel = await filesToCsv(
        { files: input, schema: this.#schema, absorbed: this.#absorbed, ...(maxRowBytes !== undefined && { maxRowBytes }) },
        context,
      );
      const done = channel.done.then((count) => this.#check(files, count)).finally(forget);
      done.catch(() => {});
      return { ...channel, done };
    } catch (error) {
      await forget();
      throw error;
    }
  }

  /** The files are still those that were listed, and have given the rows that their manifest counts. */
  async #check(files: readonly ReadFile[], count: { readonly rows: number }): Promise<{ rows: number }> {
    for (const file of files) {
      const now = await this.#storage.head(file.key);
      if (now?.etag !== file.etag) throw changed(this.#storage.url + file.key, now === null);
    }
    const expected = files.reduce<number | null>((sum, { rows }) => (sum === null || rows === null ? null : sum + rows), 0);
    const counted = !this.#absorbed.some(({ op }) => op === 'filter' || op === 'dedupe');
    if (!counted || expected === null || expected === count.rows) return count;
    throw new MillraceError('MANIFEST_MISMATCH', {
      message: `${files.map(({ key }) => this.#storage.url + key).join(', ')}: ${count.rows} rows were read, and the manifest counts ${expected}.`,
      remedy: 'Somebody has changed the files. Load the dataset again.',
      facts: { rows: count.rows, expected },
    });
  }

  /** Null where there is nothing; a dataset whose loads had no rows is something. */
  async #files(): Promise<ReadFile[] | null> {
    const { from, format } = this.#reading;
    const files: ReadFile[] = [];
    if (from.kind === 'dataset') {
      const manifests = await listManifests(this.#storage);
      if (manifests.length === 0) return null;
      for (const manifest of manifests) {
        const codec = manifest.codec === 'gzip' || (manifest.codec === 'zstd' && manifest.format !== 'parquet') ? manifest.codec : 'none';
        for (const { key, bytes, etag, rows, log } of manifest.files) {
          if (log && from.table === undefined) throw tableNotNamed(this.#storage.url, log.table);
          if (log?.table !== from.table) continue;
          const absent = log ? this.#absentFrom(manifest.schemas?.[log.schema]) : [];
          const found: ReadFile = { key, size: bytes, etag: await this.#etagNow(key, bytes, etag), rows, format: manifest.format, codec };
          files.push({ ...found, ...(absent.length > 0 && { absent }) });
        }
      }
      return files;
    }
    const { prefix, matches } = glob(from.pattern);
    for await (const { key, size, etag } of this.#storage.list(prefix)) {
      if (matches(key)) files.push({ key, size, etag, rows: null, format: format!, codec: codecOf(key) });
    }
    return files.length > 0 ? files : null;
  }

  /** Columns of a change log's table that came later than a file of it: NULL in its rows. */
  #absentFrom(written: RowSchema | undefined): string[] {
    const names = new Set(written?.columns.map(({ name }) => name));
    return this.#schema.columns.filter(({ name, nullable }) => nullable && !names.has(name)).map(({ name }) => name);
  }

  /** A directory may have been copied since the commit, and its files have other times then; an object's tag is its content's. */
  async #etagNow(key: string, bytes: number, etag: string): Promise<string> {
    if (!this.#storage.url.startsWith('file:')) return etag;
    const now = await this.#storage.head(key);
    if (now?.size !== bytes) throw changed(this.#storage.url + key, now === null);
    return now.etag;
  }

  #nothing(): MillraceError {
    const { from } = this.#reading;
    const place =
      from.kind === 'glob'
        ? `No file matches ${this.#storage.url}${from.pattern}`
        : `Nothing has been loaded into ${this.#storage.url} yet`;
    return new MillraceError('TABLE_MISSING', {
      message: `${place}.`,
      remedy: 'Check the pattern and the place of the connection; with { mayBeEmpty: true } no files are no rows.',
    });
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#storage[Symbol.asyncDispose]();
  }
}

const tableNotNamed = (url: string, table: string): MillraceError =>
  new MillraceError('UNSUPPORTED', {
    message: `${url} is a change log of several tables.`,
    remedy: `Name the one to read: { table: '${table}' }.`,
  });

let fetched = 0;

const codecOf = (key: string): ReadFile['codec'] => (/\.gz(ip)?$/i.test(key) ? 'gzip' : /\.zstd?$/i.test(key) ? 'zstd' : 'none');

/** Batches of a channel of CSV, whose end is held against what its reading end has counted. */
export async function* countedBatches(channel: BytesChannel): AsyncGenerator<ColumnBatch, void, undefined> {
  let rows = 0;
  for await (const batch of decodeCsv(channel.schema, channel.stream)) {
    rows += batch.rowCount;
    yield batch;
  }
  const said = await channel.done;
  if (said.rows === rows) return;
  throw new MillraceError('WIRE_CORRUPT', {
    message: `The converter wrote ${said.rows} rows, and ${rows} have come.`,
    remedy: 'The split is read again. If it happens each time, please report it.',
  });
}
