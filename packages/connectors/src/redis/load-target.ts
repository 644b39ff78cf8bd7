import { type Connection, describeSetting, MillraceError, type RowSchema, type Target } from '@millrace/core/runtime';
import type { RedisSettings } from './client.ts';
import { formProblems, isWhole, type KeyOptions, type RowForm, rowForm, textsOf } from './form.ts';
import { guaranteeOf } from './guarantee.ts';
import { LoadSink } from './load-sink.ts';
import { storedRows } from './stored.ts';

export interface KeysOptions extends KeyOptions {
  /**
   * `merge` (default) writes the keys of the rows that come; a full refresh, which brings all rows, also takes away every other one.
   * `replace` does so each time.
   */
  readonly mode?: 'merge' | 'replace';
}

export interface LoadSettings {
  readonly connection: RedisSettings;
  readonly form: RowForm;
  readonly mode: 'merge' | 'replace';
}

/** Rows as keys. @throws PIPELINE_INVALID */
export function keysTarget(
  connection: Connection,
  redis: RedisSettings,
  { mode = 'merge', ...keys }: KeysOptions,
): Target<unknown, 'rows', 'table'> {
  if (mode !== 'merge' && mode !== 'replace')
    throw new MillraceError('PIPELINE_INVALID', {
      message: `Keys cannot be loaded with mode "${mode as string}".`,
      remedy: "Use 'merge' or 'replace'.",
    });
  const form = rowForm(keys);
  const { key, ...options } = keys;
  return Object.freeze({
    kind: 'target',
    takes: 'rows',
    leaves: 'table',
    connection,
    description: {
      connector: 'redis',
      object: key,
      connection: describeSetting(redis.url),
      mode,
      ...guaranteeOf(redis, textsOf(form)),
      options: { as: form.as, cluster: redis.cluster, replicas: redis.replicas, ...options },
    },
    schema: null,
    accepts: ['batches'],
    problems: (input: RowSchema) => formProblems(form, input.columns, 'The rows'),
    ddl: () => [],
    open: async (context) => LoadSink.open({ connection: redis, form, mode }, context),
    ...(isWhole(form) && { stored: (input: RowSchema) => storedRows(connection, redis, form, key, input) }),
  } satisfies Target<unknown, 'rows', 'table'>);
}
