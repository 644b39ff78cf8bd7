import type { TablePlace } from './mappings.ts';
import type { Reading } from './output.ts';

/** A file that DMS has written, as its key says. */
export type DmsFile = {
  readonly key: string;
  readonly format: 'parquet' | 'csv';
  readonly codec: 'gzip' | 'none';
} & (
  | { readonly kind: 'load'; readonly place: string }
  /** `stamp`: digits of the time at which it was written; text order is time order. */
  | { readonly kind: 'changes'; readonly stamp: string }
);

/** Where the files of a table are: `public/orders/`. */
export const folderOf = ({ schema, table }: TablePlace): string => `${schema}/${table}/`;

/**
 * What DMS writes into a table's folder:
 *
 *   LOAD00000001.parquet                    full load, numbered in hexadecimal; LOAD_1_00000001 where a table is loaded in parallel
 *   20141029-1134010000.parquet             changes, named after the time at which they were written
 *   2014/10/29/20141029-1134010000.csv.gz   the same with date partitions, in any sequence and with any delimiter
 *
 * Null for anything else: what others have put there, and files still being written.
 */
export function fileIn(folder: string, key: string, reading: Reading): DmsFile | null {
  if (!key.startsWith(folder)) return null;
  const rest = key.slice(folder.length);
  const load = /^LOAD((?:_\d+_)?[0-9A-Fa-f]{5,16})\.(csv|parquet)(\.gz)?$/.exec(rest);
  if (load) return { kind: 'load', key, place: load[1] as string, ...formatOf(load[2], load[3]) };
  const changes = (reading.partitioned ? inPartition : flat).exec(rest);
  if (!changes || reading.transactions !== null) return null;
  return { kind: 'changes', key, stamp: digits(changes[1] as string), ...formatOf(changes[2], changes[3]) };
}

const flat = /^(\d{8}-\d{6,})\.(csv|parquet)(\.gz)?$/;
const inPartition = /^\d[\d/_-]*\/(\d{8}-\d{6,})\.(csv|parquet)(\.gz)?$/;

/** `transactions/CDC_TXN-20201117153046033.csv`. */
export function transactionFile(folder: string, key: string): DmsFile | null {
  if (!key.startsWith(folder)) return null;
  const found = /^CDC_TXN-(\d{14,})\.(csv)(\.gz)?$/.exec(key.slice(folder.length));
  return found ? { kind: 'changes', key, stamp: digits(found[1] as string), ...formatOf(found[2], found[3]) } : null;
}

/** Parquet is packed inside, whatever its name says. */
const formatOf = (format: string | undefined, packed: string | undefined) =>
  format === 'parquet' ? ({ format, codec: 'none' } as const) : ({ format: 'csv', codec: packed ? 'gzip' : 'none' } as const);

/** Years to nanoseconds, filled up, so that names of different lengths sort. */
const digits = (stamp: string): string => stamp.replace('-', '').padEnd(23, '0');
