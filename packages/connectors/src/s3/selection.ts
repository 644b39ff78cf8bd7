import {
  describeSetting,
  outputColumns,
  type RelationalOp,
  type RowOf,
  type RowSchema,
  type Selection,
  type Table,
} from '@millrace/core/runtime';
import { absorbable, type CsvDialect } from '../duckdb/index.ts';
import { glob } from './glob.ts';
import { openStorage } from './open-storage.ts';
import { type FileReading, FileSource } from './source.ts';
import { bytesOf, type FilePlace, type Size } from './target.ts';

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

/** The rows of a table, out of files. */
export type FileSelection<T extends Table> = Selection<RowOf<T>>;

export function fileSelection<Row>(
  place: FilePlace,
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
      connector: 's3',
      object: reading.from.kind === 'glob' ? reading.from.pattern : reading.from.prefix,
      connection: describeSetting(place.url),
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
      const url = typeof place.url === 'string' ? place.url : await context.secret(place.url);
      const prefix = reading.from.kind === 'dataset' ? reading.from.prefix : '';
      return new FileSource(await openStorage(url, place.settings, context, prefix), complete, rows, context);
    },
  } satisfies Selection<Row>);
}
