import {
  type Connection,
  type Context,
  outputColumns,
  type RelationalOp,
  type RowOf,
  type RowSchema,
  type Selection,
  type Table,
} from '@millrace/core/runtime';
import { absorbable, type CsvDialect } from '../duckdb/index.ts';
import { glob } from './glob.ts';
import { type FileReading, FileSource } from './source.ts';
import type { FileReader } from './storage.ts';
import { bytesOf, type Size } from './target.ts';

export interface ReadOptions {
  /** A pattern that matches nothing is no error. */
  readonly mayBeEmpty?: boolean;
  /** The longest row, as CSV. 32 MB by default; memory grows with it. */
  readonly maxRowBytes?: Size;
}

export interface DatasetReadOptions extends ReadOptions {
  /** Of a change log: the table whose changes are read, by its name in the pipeline that wrote it. */
  readonly table?: string;
}

export interface CsvReadOptions extends ReadOptions, Partial<CsvDialect> {}

/** A place whose files can be read. */
export interface ReadPlace {
  readonly connection: Connection;
  /** With what is to be read there in this run, where a pattern holds a value of the run. */
  open(context: Context, reading: FileReading): Promise<{ readonly storage: FileReader; readonly reading: FileReading }>;
}

/** The rows of a table, out of files. */
export type FileSelection<T extends Table> = Selection<RowOf<T>>;

export function fileSelection<Row>(
  place: ReadPlace,
  reading: Omit<FileReading, 'maxRowBytes'>,
  schema: RowSchema,
  options: ReadOptions,
): Selection<Row> {
  const complete: FileReading = { ...reading, ...(options.maxRowBytes !== undefined && { maxRowBytes: bytesOf(options.maxRowBytes) }) };
  // A pattern that cannot be is said where it is written.
  if (reading.from.kind === 'glob') glob(reading.from.pattern);
  const columns = schema.columns.map(({ name, type, nullable }) => ({ name, type, nullable }));
  const rows: RowSchema = { columns, ...(schema.key && { key: schema.key }) };
  return Object.freeze({
    kind: 'selection',
    connection: place.connection,
    via: 'duckdb',
    description: {
      connector: place.connection.connector,
      object: reading.from.kind === 'glob' ? reading.from.pattern : reading.from.prefix,
      connection: place.connection.label,
      options: {
        ...(reading.format && { format: reading.format }),
        ...(reading.csv && { ...reading.csv }),
        ...(reading.from.kind === 'dataset' && reading.from.table !== undefined && { table: reading.from.table }),
      },
    },
    schema: rows,
    offers: ['csv', 'batches'],
    absorbs: (op, before) =>
      absorbable(
        op,
        before.reduce((input, earlier: RelationalOp) => outputColumns(earlier, input), [...columns]),
      ),
    async open(context) {
      const { storage, reading: settled } = await place.open(context, complete);
      return new FileSource(storage, settled, rows, context);
    },
  } satisfies Selection<Row>);
}
