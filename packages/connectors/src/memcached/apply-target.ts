import {
  type ChangeTarget,
  type Connection,
  describeSetting,
  MillraceError,
  type RowSchema,
  type StreamTables,
  type TargetProblem,
} from '@millrace/core/runtime';
import type { RowForm } from '../redis/form.ts';
import { ApplySink } from './apply-sink.ts';
import type { MemcachedSettings } from './client.ts';
import { formProblems, type KeyOptions, memcachedForm } from './form.ts';

export interface ApplyOptions {
  /** By a table's name in the pipeline. Those that are left out have their rows under the table's name and their key: `orders:<id>`. */
  readonly tables?: Readonly<Record<string, KeyOptions>>;
  /** Of tables that `tables` leaves out: what their keys begin with. Nothing by default. */
  readonly prefix?: string;
  /**
   * `invalidate` (default): keys of rows that change are deleted on every node, and whoever reads fills them again; give the capture
   * `snapshot: 'never'`. `write`: each key is what its row is, on a single node and with a `ttl`.
   */
  readonly mode?: 'invalidate' | 'write';
  /** Of tables that `tables` leaves out, for `write`: keys expire so long after they were last written. */
  readonly ttl?: KeyOptions['ttl'];
}

export interface ApplySettings {
  readonly connection: MemcachedSettings;
  readonly forms: ReadonlyMap<string, RowForm>;
  readonly options: ApplyOptions;
  readonly isWriting: boolean;
}

/** Keys that follow a stream of changes. @throws PIPELINE_INVALID */
export function applyTarget(connection: Connection, cache: MemcachedSettings, options: ApplyOptions): ChangeTarget<unknown> {
  const { tables = {}, prefix = '', mode = 'invalidate' } = options;
  if (mode !== 'invalidate' && mode !== 'write')
    throw new MillraceError('PIPELINE_INVALID', {
      message: `apply({ mode: "${mode as string}" }) is no mode.`,
      remedy: "Use 'invalidate' or 'write'.",
    });
  const forms = new Map(Object.entries(tables).map(([table, of]) => [table, memcachedForm(of)]));
  const settings: ApplySettings = { connection: cache, forms, options, isWriting: mode === 'write' };
  const keys = [...forms.values()].map(({ template }) => template.text);
  return Object.freeze({
    kind: 'change-target',
    description: {
      connector: 'memcached',
      object: [...keys, ...(keys.length === 0 || prefix !== '' ? [`${prefix}<table>:<key>`] : [])].join(', '),
      connection: describeSetting(cache.url),
      mode: 'mirror',
      guarantee: 'at-least-once',
      promise:
        mode === 'invalidate'
          ? 'keys of rows that change are deleted on every node before the place moves; a node that does not remember the place is emptied'
          : 'in order; an attempt that wakes up late may write one portion of older rows, which stay until their ttl ends',
      options: { mode, discover: cache.discover, tables, prefix },
    },
    connection,
    accepts: ['batches'],
    problems: (columns) => problems(settings, columns),
    ddl: () => [],
    open: async (context) => new ApplySink(settings, context),
  } satisfies ChangeTarget<unknown>);
}

/** As it is declared, or under the table's name and its key. What is only deleted has the columns of its key. */
export function formOf({ forms, options, isWriting }: ApplySettings, table: string, { key = [] }: RowSchema): RowForm {
  const { prefix = '', ttl } = options;
  const form =
    forms.get(table) ??
    memcachedForm({ key: prefix + [table, ...key.map((column) => `<${column}>`)].join(':'), ...(ttl !== undefined && { ttl }) });
  return isWriting ? form : { ...form, as: 'json', value: null, columns: form.template.columns };
}

/** What can be seen from the declarations alone. */
export function problems(settings: ApplySettings, tables: StreamTables): TargetProblem[] {
  const found: TargetProblem[] = [...settings.forms.keys()].flatMap((table) =>
    Object.hasOwn(tables, table)
      ? []
      : [
          {
            message: `apply() names the table "${table}", which the capture does not bring.`,
            remedy: `Its tables are ${Object.keys(tables).join(', ')}.`,
          },
        ],
  );
  for (const [table, schema] of Object.entries(tables)) {
    if (!schema.key?.length) {
      found.push({
        message: `"${table}" has no key, so its rows cannot be found again.`,
        remedy: "Declare it: table('…', {…}, { key: ['id'] }).",
      });
      continue;
    }
    const form = formOf(settings, table, schema);
    found.push(...formProblems(form, schema.columns, `"${table}"`));
    const [wanted, given] = [[...schema.key].sort().join(', '), [...form.template.columns].sort().join(', ')];
    if (wanted !== given)
      found.push({
        message: `The key "${form.template.text}" of "${table}" is made of ${given}, and its rows are identified by ${wanted}.`,
        remedy: 'Make the key of exactly those columns.',
      });
    if (settings.isWriting && form.ttlMs === null)
      found.push({
        message: `Rows of "${table}" would stay for ever, also where they are older than their table.`,
        remedy: "Give them a ttl, or use mode 'invalidate'.",
      });
  }
  return found;
}
