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
import { type CsvDialect, canonicalDialect } from '../duckdb/index.ts';
import { type ChangeLogOptions, changeLogTarget } from './changelog/target.ts';
import { examineStore } from './examine.ts';
import type { StoreSettings } from './open-storage.ts';
import { type CsvReadOptions, type DatasetReadOptions, fileSelection, type ReadOptions } from './selection.ts';
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
    return fileSelection<never>(place(lake), { from, format: null, mayBeEmpty }, schema, read);
  }

  function eitherWay(
    format: 'parquet' | 'csv' | 'jsonl',
    first: string | ParquetOptions | TextOptions,
    table?: Table,
    read: CsvReadOptions = {},
  ) {
    if (typeof first !== 'string')
      return fileTarget(place(lake), format, first, (schema) => dataset(first.prefix, schema, { mayBeEmpty: true }));
    const { mayBeEmpty = false, maxRowBytes, ...dialect } = read;
    const csv = format === 'csv' ? { csv: usableDialect({ ...canonicalDialect, ...dialect }) } : {};
    return fileSelection<never>(
      place(lake),
      { from: { kind: 'glob', pattern: first }, format, mayBeEmpty, ...csv },
      table!,
      maxRowBytes === undefined ? {} : { maxRowBytes },
    );
  }

  places.set(lake, place(lake));
  return Object.freeze(lake);
}

/** @throws PIPELINE_INVALID */
function usableDialect(dialect: CsvDialect): CsvDialect {
  const { delimiter, quote, escape: escaping, nullText } = dialect;
  const one = (text: string) => /^[\t\x20-\x7e]$/.test(text);
  const wrong = !one(delimiter)
    ? 'the delimiter'
    : !one(quote)
      ? 'the quote'
      : !one(escaping)
        ? 'the escape'
        : delimiter === quote
          ? 'the quote'
          : null;
  if (wrong === null && !nullText.includes('\n')) return dialect;
  throw new MillraceError('PIPELINE_INVALID', {
    message: `CSV: ${wrong ?? 'nullText'} cannot be used.`,
    remedy: 'Delimiter, quote and escape are one ASCII character each, and the quote is not the delimiter.',
  });
}
