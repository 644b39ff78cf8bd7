import {
  type ColumnBatch,
  type ColumnSchema,
  type Connection,
  type Context,
  describeSetting,
  type RowSchema,
  type RowSource,
  type Selection,
  textCodec,
  valuesVector,
} from '@millrace/core/runtime';
import { openRedis, type RedisSettings } from './client.ts';
import type { RowForm, TextRow } from './form.ts';
import { KeptTable } from './kept-table.ts';

/** The rows that are kept under a table's keys, read back to the letter: for `verify`. */
export function storedRows(connection: Connection, settings: RedisSettings, form: RowForm, table: string, schema: RowSchema): Selection {
  return {
    kind: 'selection',
    description: { connector: 'redis', object: form.template.text, connection: describeSetting(settings.url) },
    connection,
    schema,
    offers: ['batches'],
    absorbs: () => false,
    open: (context) => openStored(settings, form, table, schema, context),
  };
}

async function openStored(settings: RedisSettings, form: RowForm, table: string, schema: RowSchema, context: Context): Promise<RowSource> {
  const client = await openRedis(settings, context);
  const kept = new KeptTable(client, table, form, schema.columns);
  return {
    describe: async () => schema,
    plan: async ({ earlier }) => ({
      schema,
      absorbed: [],
      window: null,
      splits: [{ id: 'all', estimate: { rows: null, bytes: null }, where: {} }],
      estimate: { rows: null, bytes: null },
      continuesEarlier: earlier !== null,
    }),
    offers: () => ['batches'],
    open: async () => ({ format: 'batches', schema, batches: batches(kept, schema) }),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

async function* batches(kept: KeptTable, schema: RowSchema): AsyncGenerator<ColumnBatch, void, undefined> {
  const seen = new Set<string>(); // SCAN may give a key twice
  for await (const keys of kept.keys()) {
    const fresh = keys.filter((key) => !seen.has(key));
    for (const key of fresh) seen.add(key);
    const rows = [...(await kept.read(fresh)).values()].filter((row) => row !== null);
    if (rows.length > 0) yield batchOf(schema, rows);
  }
}

const batchOf = (schema: RowSchema, rows: readonly TextRow[]): ColumnBatch => ({
  schema,
  rowCount: rows.length,
  vectors: schema.columns.map((column) => valuesVector(column.type, valuesOf(column, rows))),
});

function valuesOf({ name, type }: ColumnSchema, rows: readonly TextRow[]): unknown[] {
  const { parse } = textCodec(type);
  return rows.map((row) => {
    const text = row.get(name) ?? null;
    return text === null ? null : parse(text);
  });
}
