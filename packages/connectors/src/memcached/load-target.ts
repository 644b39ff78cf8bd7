import { type Connection, describeSetting, type RowSchema, type Target } from '@millrace/core/runtime';
import type { RowForm } from '../redis/form.ts';
import type { MemcachedSettings } from './client.ts';
import { formProblems, type KeyOptions, memcachedForm } from './form.ts';
import { LoadSink } from './load-sink.ts';

export type KeysOptions = KeyOptions;

export interface LoadSettings {
  readonly connection: MemcachedSettings;
  readonly form: RowForm;
}

/** Rows as keys of a single node. @throws PIPELINE_INVALID */
export function keysTarget(connection: Connection, cache: MemcachedSettings, options: KeysOptions): Target<unknown, 'rows', 'table'> {
  const form = memcachedForm(options);
  const { key, ...more } = options;
  return Object.freeze({
    kind: 'target',
    takes: 'rows',
    leaves: 'table',
    connection,
    description: {
      connector: 'memcached',
      object: key,
      connection: describeSetting(cache.url),
      mode: 'merge',
      guarantee: 'at-least-once',
      promise: 'keys are written as rows come, and again after a crash; readers see them come',
      options: { discover: cache.discover, ...more },
    },
    schema: null,
    accepts: ['batches'],
    problems: (input: RowSchema) => formProblems(form, input.columns, 'The rows'),
    ddl: () => [],
    open: async (context) => LoadSink.open({ connection: cache, form }, context),
  } satisfies Target<unknown, 'rows', 'table'>);
}
