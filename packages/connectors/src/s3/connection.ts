import {
  type ChangeTarget,
  type Connection,
  type Context,
  describeSetting,
  MillraceError,
  type RowOf,
  type RowSchema,
  type Selection,
  type Setting,
  type Table,
} from '@millrace/core/runtime';
import { type ChangeLogOptions, changeLogTarget } from './changelog/target.ts';
import { examineStore } from './examine.ts';
import { fileReaders } from './file-readers.ts';
import { openStorage, type StoreSettings } from './open-storage.ts';
import { type CsvReadOptions, type DatasetReadOptions, fileSelection, type ReadOptions, type ReadPlace } from './selection.ts';
import { type FilePlace, type FileTarget, fileTarget, type ParquetOptions, type TextOptions } from './target.ts';

export interface S3Options extends StoreSettings {
  /** `s3://bucket/prefix`, or `file:./lake`, relative to the project. */
  readonly url: Setting;
}

/** A place for files: a prefix of a bucket, or a directory. */
export interface FileConnection extends Connection {
  /** Writes Parquet: `load(orders, lake.parquet({ prefix: 'orders/', partitionBy: ['day'] }))`. */
  parquet(options: ParquetOptions): FileTarget;
  /** Reads Parquet: `extract(lake.parquet('raw/orders/*.parquet', orders))`. Files may have more columns than the table. */
  parquet<T extends Table>(pattern: string, table: T, options?: ReadOptions): Selection<RowOf<T>>;
  /** Writes CSV with a header, values as Postgres prints them; NULL is an empty field and '' is `""`. */
  csv(options: TextOptions): FileTarget;
  /** Reads CSV. With a header (default) columns go by name, else by place. */
  csv<T extends Table>(pattern: string, table: T, options?: CsvReadOptions): Selection<RowOf<T>>;
  /** Writes JSON Lines. */
  jsonl(options: TextOptions): FileTarget;
  /** Reads JSON Lines. A key that is missing is NULL. */
  jsonl<T extends Table>(pattern: string, table: T, options?: ReadOptions): Selection<RowOf<T>>;
  /**
   * Reads what loads have committed under a prefix, by its manifests: `extract(lake.dataset('orders/', orders))`. Of a change log, one
   * table: `lake.dataset('changes/', changesOf(orders), { table: 'orders' })`.
   */
  dataset<T extends Table>(prefix: string, table: T, options?: DatasetReadOptions): Selection<RowOf<T>>;
  /** Follows a capture: every change of every table, as files: `load(changes, lake.changelog({ prefix: 'changes/' }))`. */
  changelog(options: ChangeLogOptions): ChangeTarget<unknown>;
}

const places = new WeakMap<Connection, FilePlace>();

/** What stands behind a connection that `s3()` has made, for a target that keeps its files there. */
export function placeOf(lake: FileConnection): FilePlace {
  const place = places.get(lake);
  if (place) return place;
  throw new MillraceError('PIPELINE_INVALID', {
    message: 'staging is not a place for files.',
    remedy: 'Give it what s3({ url }) returns.',
  });
}

/**
 * Files on S3, or on this machine: `s3({ url: secret('LAKE_URL') })`. The URL decides which, so a pipeline for S3 runs on a laptop.
 */
export function s3(options: S3Options): FileConnection {
  const { url, ...settings } = options;
  const connection: Connection = {
    kind: 'connection',
    connector: 's3',
    label: describeSetting(url),
    examine: (context: Context) => examineStore(url, settings, context),
  };
  const place = (of: Connection): FilePlace => ({ url, settings, connection: of });
  const readable = (of: Connection): ReadPlace => ({
    connection: of,
    async open(context, reading) {
      const prefix = reading.from.kind === 'dataset' ? reading.from.prefix : '';
      return { storage: await openStorage(typeof url === 'string' ? url : await context.secret(url), settings, context, prefix), reading };
    },
  });
  const lake: FileConnection = {
    ...connection,
    parquet: (first: string | ParquetOptions, table?: Table, read?: ReadOptions) => eitherWay('parquet', first, table, read),
    csv: (first: string | TextOptions, table?: Table, read?: CsvReadOptions) => eitherWay('csv', first, table, read),
    jsonl: (first: string | TextOptions, table?: Table, read?: ReadOptions) => eitherWay('jsonl', first, table, read),
    dataset: (prefix: string, table: Table, read: DatasetReadOptions = {}) => dataset(prefix, table, read),
    changelog: (options: ChangeLogOptions) => changeLogTarget(place(lake), options),
  } as FileConnection;

  function dataset(prefix: string, schema: RowSchema, read: DatasetReadOptions) {
    const { mayBeEmpty = false, table } = read;
    const from = { kind: 'dataset', prefix, ...(table !== undefined && { table }) } as const;
    return fileSelection<never>(readable(lake), { from, format: null, mayBeEmpty }, schema, read);
  }

  function eitherWay(
    format: 'parquet' | 'csv' | 'jsonl',
    first: string | ParquetOptions | TextOptions,
    table?: Table,
    read: CsvReadOptions = {},
  ) {
    if (typeof first !== 'string')
      return fileTarget(place(lake), format, first, (schema) => dataset(first.prefix, schema, { mayBeEmpty: true }));
    return fileReaders(readable(lake))[format](first, table!, read);
  }

  places.set(lake, place(lake));
  return Object.freeze(lake);
}
