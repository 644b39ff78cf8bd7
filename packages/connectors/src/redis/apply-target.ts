import {
  type ChangeTarget,
  type Connection,
  describeSetting,
  MillraceError,
  type RowSchema,
  type StreamTables,
  type TargetProblem,
} from '@millrace/core/runtime';
import { ApplySink } from './apply-sink.ts';
import type { RedisSettings } from './client.ts';
import { formProblems, isWhole, type KeyOptions, type RowForm, rowForm, textsOf } from './form.ts';
import { guaranteeOf } from './guarantee.ts';
import { storedRows } from './stored.ts';

export interface ApplyOptions {
  /** By a table's name in the pipeline. Those that are left out have their rows under the table's name and their key: `orders:<id>`. */
  readonly tables?: Readonly<Record<string, KeyOptions>>;
  /** Of tables that `tables` leaves out: what their keys begin with, and what they are. Nothing and `hash` by default. */
  readonly prefix?: string;
  readonly as?: 'hash' | 'json';
  /**
   * `write` (default): each key is what its row is. `invalidate`: keys of rows that change are deleted, and whoever reads fills them again;
   * nothing is copied, so give the capture `snapshot: 'never'`.
   */
  readonly mode?: 'write' | 'invalidate';
}

export interface ApplySettings {
  readonly connection: RedisSettings;
  readonly forms: ReadonlyMap<string, RowForm>;
  readonly prefix: string;
  readonly as: 'hash' | 'json';
  readonly mode: 'write' | 'invalidate';
}

/** Keys that follow a stream of changes. @throws PIPELINE_INVALID */
export function applyTarget(connection: Connection, redis: RedisSettings, options: ApplyOptions): ChangeTarget<unknown> {
  const { tables = {}, prefix = '', as = 'hash', mode = 'write' } = options;
  if (mode !== 'write' && mode !== 'invalidate')
    throw new MillraceError('PIPELINE_INVALID', {
      message: `apply({ mode: "${mode as string}" }) is no mode.`,
      remedy: "Use 'write' or 'invalidate'.",
    });
  const forms = new Map(Object.entries(tables).map(([table, options]) => [table, rowForm(options)]));
  const sorted = [...forms].find(([, form]) => mode === 'invalidate' && form.sorted.length > 0);
  if (sorted)
    throw new MillraceError('PIPELINE_INVALID', {
      message: `apply({ mode: 'invalidate' }) writes nothing, so "${sorted[0]}" can have no sorted sets.`,
      remedy: "Leave `sorted` out, or use mode 'write'.",
    });
  const settings: ApplySettings = { connection: redis, forms, prefix, as, mode };
  const isReadable = mode === 'write' && [...forms.values()].every(isWhole);
  const keys = [...forms.values()].flatMap(textsOf);
  const others = keys.length === 0 || prefix !== '' ? [prefix] : [];
  return Object.freeze({
    kind: 'change-target',
    description: {
      connector: 'redis',
      object: [...keys, ...others.map((text) => `${text}<table>:<key>`)].join(', '),
      connection: describeSetting(redis.url),
      mode: 'mirror',
      ...guaranteeOf(redis, [...keys, ...others]),
      options: { mode, cluster: redis.cluster, replicas: redis.replicas, tables, prefix, as },
    },
    connection,
    accepts: ['batches'],
    problems: (columns) => problems(settings, columns),
    ddl: () => [],
    open: async (context) => new ApplySink(settings, context),
    ...(isReadable && {
      stored: (table: string, schema: RowSchema) => storedRows(connection, redis, formOf(settings, table, schema), table, schema),
    }),
  } satisfies ChangeTarget<unknown>);
}

/** As it is declared, or under the table's name and its key. What is only thrown away has the columns of its key. */
export function formOf({ forms, prefix, as, mode }: ApplySettings, table: string, { key = [] }: RowSchema): RowForm {
  const form = forms.get(table) ?? rowForm({ key: prefix + [table, ...key.map((column) => `<${column}>`)].join(':'), as });
  return mode === 'write' ? form : { ...form, as: 'hash', value: null, columns: form.template.columns };
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
  const patterns = new Map<string, string>();
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
        remedy: 'Make the key of exactly those columns; other ways to a row are sorted sets.',
      });
    for (const { text } of [form.template, ...form.sorted]) {
      const pattern = text.replace(/<[^<>]+>/g, '<>');
      const other = patterns.get(pattern);
      if (other !== undefined)
        found.push({
          message: `Keys like "${text}" of "${table}" are also "${other}"'s.`,
          remedy: 'Give each of them a beginning of its own.',
        });
      patterns.set(pattern, table);
    }
  }
  return found;
}
