import type { Connection, RowOf, RowSchema, Selection, Table } from '@millrace/core/runtime';
import { HttpClient } from './client/client.ts';
import type { Pace } from './client/pace.ts';
import type { HttpOptions } from './connection-options.ts';
import { type RowsOptions, readingOf } from './rows-options.ts';
import { HttpSource } from './source.ts';

/** What stands behind a connection. */
export interface HttpBehind {
  readonly connection: Connection;
  readonly options: HttpOptions;
  /** Of all requests of this process. */
  readonly pace: Pace | null;
}

export function rowsSelection<T extends Table>(behind: HttpBehind, path: string, table: T, options: RowsOptions<T>): Selection<RowOf<T>> {
  const columns = table.columns.map(({ name, type, nullable }) => ({ name, type, nullable }));
  const schema: RowSchema = { columns, ...(table.key && { key: table.key }) };
  const reading = readingOf(path, schema, options as RowsOptions);
  const { schema: shape, headers, ...shown } = options;
  return Object.freeze({
    kind: 'selection',
    connection: behind.connection,
    description: {
      connector: 'http',
      object: path,
      connection: behind.connection.label,
      options: { ...shown, ...(headers && { headers: Object.keys(headers) }), ...(shape && { schema: shape['~standard'].vendor }) },
    },
    schema,
    offers: ['batches'],
    absorbs: () => false,
    open: async (context) => new HttpSource(await HttpClient.open(behind.options, behind.pace, context), reading, schema, context),
  } satisfies Selection<RowOf<T>>);
}
