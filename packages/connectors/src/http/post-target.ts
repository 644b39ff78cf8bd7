import { MillraceError, type RowSchema, type Target } from '@millrace/core/runtime';
import { type FileConnection, placeOf } from '../s3/connection.ts';
import type { FilePlace } from '../s3/target.ts';
import { HttpClient } from './client/client.ts';
import type { Numbers, PostBody } from './json/row-text.ts';
import { openLedger } from './ledger.ts';
import { PostSink } from './post-sink.ts';
import { type ParameterValue, placeholders } from './rows-options.ts';
import type { HttpBehind } from './selection.ts';

export interface PostOptions {
  /** `POST` by default. */
  readonly method?: 'POST' | 'PUT' | 'PATCH';
  /** What stands for `{name}` in the path. */
  readonly path?: Readonly<Record<string, ParameterValue>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** `list` (default): `[{…}, {…}]`. `lines`: JSON Lines. `row`: each row in a request of its own. `{ list: 'events' }`: `{"events": [{…}]}`. */
  readonly body?: PostBody;
  /** The most rows of a request. 100 by default. */
  readonly batchRows?: number;
  /** About the most bytes of a request. 1,000,000 by default. */
  readonly batchBytes?: number;
  /** Requests at the same time. 1 by default: then rows arrive in order. */
  readonly concurrency?: number;
  /** The header that holds the key by which a repeated request is known. `Idempotency-Key` by default. */
  readonly keyHeader?: string;
  /** Statuses beside 2xx that say the rows are there, such as 409 to a key that is known. */
  readonly accept?: readonly number[];
  /** int8 and numeric as `text` (default) or `number`. */
  readonly numbers?: Numbers;
  /**
   * A place for files, what `s3({ url })` returns, where it is noted which loads were sent and up to where: for rows that are read `since` a column. A load
   * that is noted is not sent again.
   */
  readonly ledger?: FileConnection;
}

/** What `PostOptions` says, settled. */
export interface Posting extends Required<Omit<PostOptions, 'ledger'>> {
  readonly to: string;
  readonly ledger: FilePlace | null;
}

/** Any rows. */
export type PostTarget = Target<unknown, 'rows', 'table'>;

/** @throws PIPELINE_INVALID */
export function postTarget({ connection, options, pace }: HttpBehind, to: string, post: PostOptions): PostTarget {
  const posting = postingOf(to, post);
  const { headers, to: _, ledger, ...shown } = posting;
  return Object.freeze({
    kind: 'target',
    takes: 'rows',
    leaves: 'table',
    connection,
    description: {
      connector: 'http',
      object: to,
      connection: connection.label,
      mode: 'append',
      guarantee: 'at-least-once',
      promise: `a request that is repeated has the same ${posting.keyHeader}`,
      options: { ...shown, headers: Object.keys(headers), ...(ledger && { ledger: ledger.connection.label }) },
    },
    schema: null,
    accepts: ['batches'],
    problems: (_input: RowSchema) => [],
    ddl: () => [],
    async open(context) {
      const client = await HttpClient.open(options, pace, context);
      const place = posting.ledger;
      return new PostSink(client, posting, place && (await openLedger(place, `${client.place.base.href} ${to}`, context)), context);
    },
  } satisfies PostTarget);
}

function postingOf(to: string, post: PostOptions): Posting {
  const { body = 'list', method = 'POST', path = {}, headers = {}, keyHeader = 'Idempotency-Key', accept = [], numbers = 'text' } = post;
  const posting: Posting = {
    to,
    path,
    method,
    headers,
    body,
    batchRows: body === 'row' ? 1 : (post.batchRows ?? 100),
    batchBytes: post.batchBytes ?? 1_000_000,
    concurrency: post.concurrency ?? 1,
    keyHeader,
    accept,
    numbers,
    ledger: post.ledger ? placeOf(post.ledger) : null,
  };
  const invalid = (why: string, remedy: string) => new MillraceError('PIPELINE_INVALID', { message: `post to "${to}": ${why}.`, remedy });
  for (const name of ['batchRows', 'batchBytes', 'concurrency'] as const)
    if (!(Number.isInteger(posting[name]) && posting[name] > 0))
      throw invalid(`${name} is ${posting[name]}`, 'Give a whole number above 0.');
  if (body === 'row' && (post.batchRows ?? 1) !== 1)
    throw invalid('a body of one row has no batches', 'Leave batchRows out, or send a list.');
  for (const name of placeholders(to))
    if (!Object.hasOwn(path, name)) throw invalid(`nothing stands for {${name}}`, `Give it with path: { ${name}: … }.`);
  return posting;
}
