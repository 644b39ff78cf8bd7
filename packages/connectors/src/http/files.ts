import { MillraceError, type RowOf, type Selection, type Table } from '@millrace/core/runtime';
import { fileReaders } from '../s3/file-readers.ts';
import type { CsvReadOptions, ReadOptions, ReadPlace } from '../s3/selection.ts';
import { HttpClient } from './client/client.ts';
import { fileNames, fileStorage, filledName } from './file-storage.ts';
import { type ParameterValue, placeholders } from './rows-options.ts';
import type { HttpBehind } from './selection.ts';

interface Named {
  /** What stands for `{name}` in the file's name: `{ day: run.date }`. */
  readonly path?: Readonly<Record<string, ParameterValue>>;
}

/** Files under the URL of a connection, by their names: `{a,b}` stands for each of these, `{day}` for a value of the run. */
export interface HttpFiles {
  /** Reads Parquet. */
  parquet<T extends Table>(name: string, table: T, options?: ReadOptions & Named): Selection<RowOf<T>>;
  /** Reads CSV, plain, gzip or zstd: `extract(open.csv('orders-{day}.csv.gz', orders, { path: { day: run.date } }))`. */
  csv<T extends Table>(name: string, table: T, options?: CsvReadOptions & Named): Selection<RowOf<T>>;
  /** Reads JSON Lines. */
  jsonl<T extends Table>(name: string, table: T, options?: ReadOptions & Named): Selection<RowOf<T>>;
}

export function httpFiles({ connection, options, pace }: HttpBehind): HttpFiles {
  const reader =
    (format: 'parquet' | 'csv' | 'jsonl') =>
    <T extends Table>(name: string, table: T, { path = {}, ...read }: CsvReadOptions & Named = {}): Selection<RowOf<T>> => {
      fileNames(name);
      const unknown = placeholders(name).find((placeholder) => !Object.hasOwn(path, placeholder));
      if (unknown !== undefined)
        throw new MillraceError('PIPELINE_INVALID', {
          message: `Nothing stands for {${unknown}} in "${name}".`,
          remedy: `Give it with path: { ${unknown}: … }.`,
        });
      const place: ReadPlace = {
        connection,
        async open(context, reading) {
          const pattern = filledName(name, path, context.run);
          const client = await HttpClient.open(options, pace, context);
          const storage = fileStorage(client, fileNames(pattern), reading.mayBeEmpty, context);
          return { storage, reading: { ...reading, from: { kind: 'glob', pattern } } };
        },
      };
      return fileReaders(place)[format](name, table, read);
    };
  return { parquet: reader('parquet'), csv: reader('csv'), jsonl: reader('jsonl') };
}
