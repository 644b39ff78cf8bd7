import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Channel,
  type Context,
  MillraceError,
  type ReadPlan,
  type ReadRequest,
  type RowSchema,
  type RowSource,
  type Split,
  type WireFormat,
} from '@millrace/core/runtime';
import { spoolName } from '../duckdb/conversion.ts';
import { countedBatches } from '../s3/source.ts';
import type { Storage } from '../s3/storage.ts';
import type { StampedFile } from './convert.ts';
import type { JournalFile } from './journal.ts';
import type { LocalFile, TableReading } from './read-file.ts';
import { tableAt } from './table-at.ts';

/** What is known of a table at one position. */
export interface TableFiles {
  readonly load: readonly JournalFile[];
  /** How many rows DMS has counted in the load. */
  readonly loadedRows: number;
  readonly changes: readonly (JournalFile & { readonly isAfter: boolean })[];
}

export interface TableSourceParts {
  readonly name: string;
  readonly table: TableReading;
  readonly lobKilobytes: number;
  readonly storage: Storage;
  readonly context: Context;
  /** Waits until the table has been loaded. */
  readonly files: () => Promise<TableFiles>;
  /** Holds the number of rows against the source itself, where that can be asked. */
  readonly check: (rows: number) => Promise<void>;
}

/** A table for its first copy: a split for each file of the full load; or, where it has changed since, one in all. */
export class DmsTableSource implements RowSource {
  readonly #parts: TableSourceParts;
  #files: TableFiles = { load: [], loadedRows: 0, changes: [] };
  #left = 0;
  #rows = 0;

  constructor(parts: TableSourceParts) {
    this.#parts = parts;
  }

  async describe(): Promise<RowSchema> {
    return this.#parts.table.schema;
  }

  async plan({ absorbed }: ReadRequest): Promise<ReadPlan> {
    const files = await this.#parts.files();
    this.#files = files;
    const bytes = (some: readonly JournalFile[]): number => some.reduce((sum, { size }) => sum + size, 0);
    const all = [...files.load, ...files.changes];
    const groups = files.changes.length > 0 ? [files.load.map((_, at) => at)] : files.load.map((_, at) => [at]);
    const splits = groups.map(
      (places, at): Split => ({
        id: `load${String(at + 1).padStart(5, '0')}`,
        estimate: { rows: null, bytes: bytes(files.changes.length > 0 ? all : places.map((place) => files.load[place] as JournalFile)) },
        where: { places },
      }),
    );
    this.#left = splits.length;
    this.#rows = 0;
    if (splits.length === 0) await this.#reconcile();
    return {
      schema: this.#parts.table.schema,
      absorbed,
      window: null,
      splits,
      estimate: { rows: files.loadedRows, bytes: bytes(all) },
      continuesEarlier: false,
    };
  }

  offers(): WireFormat[] {
    return ['csv', 'batches'];
  }

  async open({ where }: Split, format: WireFormat): Promise<Channel> {
    const { table, storage, context, lobKilobytes } = this.#parts;
    const load = (where['places'] as readonly number[]).map((place) => this.#files.load[place] as JournalFile);
    await using fetched = new FetchedFiles(storage, context);
    const channel = await tableAt(
      {
        table,
        load: await fetched.all(load, 'load'),
        changes: (await fetched.all(this.#files.changes, table.reading.transactions === null ? 'changes' : 'transactions')).map(
          (file, at) => ({
            ...file,
            isAfter: this.#files.changes[at]?.isAfter ?? true,
          }),
        ),
        lobKilobytes,
      },
      context,
    );
    const done = channel.done.then(async (count) => {
      this.#rows += count.rows;
      this.#left--;
      if (this.#left === 0) await this.#reconcile();
      return count;
    });
    done.catch(() => {});
    const counted = { ...channel, done };
    return format === 'batches' ? { format, schema: channel.schema, batches: countedBatches(counted) } : counted;
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /** Rows that are lost on the way are no warning. Where changes were put in there is nothing to hold them against. */
  async #reconcile(): Promise<void> {
    const { loadedRows, changes } = this.#files;
    if (changes.length > 0) return;
    if (this.#rows !== loadedRows) throw miscounted(this.#parts.name, loadedRows, this.#rows);
    await this.#parts.check(loadedRows);
  }
}

export const miscounted = (table: string, said: number, read: number): MillraceError =>
  new MillraceError('MANIFEST_MISMATCH', {
    message: `"${table}": DMS says that it has loaded ${said} rows, and ${read} are in its files.`,
    remedy: 'Look for files that somebody has removed or put there, then run "millrace resync" to load the tables again.',
    facts: { table, said, read },
  });

/** Files of DMS's, brought to this machine for one conversion. */
export class FetchedFiles implements AsyncDisposable {
  readonly #storage: Storage;
  readonly #context: Context;
  readonly #copies: string[] = [];

  constructor(storage: Storage, context: Context) {
    this.#storage = storage;
    this.#context = context;
  }

  async all(files: readonly JournalFile[], kind: LocalFile['kind']): Promise<StampedFile[]> {
    const fetched: StampedFile[] = [];
    for (const file of files) {
      const format = /\.parquet(\.gz)?$/.test(file.key) ? 'parquet' : 'csv';
      const copy = join(this.#context.spool, spoolName('dms', `.${format}`));
      const path = await this.#storage.fetch(file, copy);
      if (path === copy) this.#copies.push(copy);
      const codec = format === 'csv' && file.key.endsWith('.gz') ? 'gzip' : 'none';
      fetched.push({ stamp: file.stamp, local: { path, label: this.#storage.url + file.key, format, codec, kind } });
    }
    return fetched;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#copies.map((path) => rm(path, { force: true })));
  }
}
