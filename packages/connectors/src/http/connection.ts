import { type Connection, MillraceError, milliseconds, type RowOf, type Selection, type Table } from '@millrace/core/runtime';
import { Pace } from './client/pace.ts';
import { labelOf } from './client/place.ts';
import type { HttpOptions } from './connection-options.ts';
import { examineApi } from './examine.ts';
import { type HttpFiles, httpFiles } from './files.ts';
import { type PostOptions, type PostTarget, postTarget } from './post-target.ts';
import type { RowsOptions } from './rows-options.ts';
import { type HttpBehind, rowsSelection } from './selection.ts';

/** An HTTP API or a web server: what it lists can be read, and its files; rows can be sent to it. */
export interface HttpConnection extends Connection, HttpFiles {
  /**
   * The records of a listing: `extract(api.rows('orders', orders, { records: 'data', pages: cursor({ param: 'cursor', from: 'next' }) }))`. A record's values go
   * to the columns of their names, to the last digit; what does not fit fails the load.
   */
  rows<T extends Table>(path: string, table: T, options?: RowsOptions<T>): Selection<RowOf<T>>;
  /**
   * Sends rows as JSON, some to a request, when all of them have come and every check has passed: `load(orders, api.post('orders/import'))`. At least once: a request
   * that is repeated has the same key.
   */
  post(path: string, options?: PostOptions): PostTarget;
}

/** `http({ url: 'https://api.example.com/v2/', auth: bearer(secret('API_TOKEN')) })`. */
export function http(options: HttpOptions): HttpConnection {
  checkOptions(options);
  const label = labelOf(options.url);
  const connection: Connection = {
    kind: 'connection',
    connector: 'http',
    label,
    ...(options.maxConnections !== undefined && { maxConnections: options.maxConnections }),
    examine: (context) => examineApi(options, label, context),
  };
  const { rate } = options;
  const behind: HttpBehind = { connection, options, pace: rate ? new Pace(rate.requests, milliseconds(rate.per)) : null };
  return Object.freeze({
    ...connection,
    rows: <T extends Table>(path: string, table: T, read: RowsOptions<T> = {}) => rowsSelection(behind, path, table, read),
    ...httpFiles(behind),
    post: (path: string, post: PostOptions = {}) => postTarget(behind, path, post),
  });
}

/** @throws PIPELINE_INVALID */
function checkOptions({ rate, retry, hosts = [], timeout }: HttpOptions): void {
  const invalid = (message: string, remedy: string) => new MillraceError('PIPELINE_INVALID', { message: `http(): ${message}`, remedy });
  if (rate && !(Number.isInteger(rate.requests) && rate.requests > 0 && milliseconds(rate.per) > 0))
    throw invalid('rate allows nothing.', "Write it like { requests: 10, per: '1s' }.");
  if (retry?.attempts !== undefined && !(Number.isInteger(retry.attempts) && retry.attempts > 0))
    throw invalid('retry.attempts is not a whole number above 0.', 'Count the first attempt as well.');
  for (const duration of [retry?.delay, retry?.longestWait, timeout]) if (duration !== undefined) milliseconds(duration);
  for (const host of hosts)
    if (!/^[a-z0-9.-]+(:\d+)?$|^\[[0-9a-f:.]+\](:\d+)?$/.test(host))
      throw invalid(`"${host}" is not a host.`, "Write the name alone, in lower case: 'files.example.com', or with its port.");
}
