import { batchOfRows, type ColumnBatch } from '../batch/index.ts';
import type { ReadPlan, Selection, Split } from '../connector/index.ts';
import { MillraceError } from '../error/index.ts';
import type { RowSchema } from '../schema/index.ts';

export type Rows = readonly Readonly<Record<string, unknown>>[];

export interface MemorySelectionOptions {
  readonly schema: RowSchema;
  /** Asked each time the source is opened, so that rows can come in between. */
  readonly rows: () => Rows;
  /** What plans show; `memory.rows` by default. */
  readonly object?: string;
  /** Rows of one split; all in one by default. */
  readonly splitRows?: number;
  /** Rows of one batch; all of a split in one by default. */
  readonly batchRows?: number;
}

/** Rows that stand in memory, as a source: whole, split or since a cursor column, whose values must sort as text or number. */
export function memorySelection<Row = unknown>({
  schema,
  rows,
  object = 'memory.rows',
  splitRows = Number.POSITIVE_INFINITY,
  batchRows = Number.POSITIVE_INFINITY,
}: MemorySelectionOptions): Selection<Row> {
  return {
    kind: 'selection',
    description: { connector: 'memory', object, connection: 'memory' },
    schema,
    offers: ['batches'],
    absorbs: () => false,
    async open(context) {
      const all = rows();
      let read: Rows = all;
      return {
        describe: async () => schema,
        async plan({ since, earlier }): Promise<ReadPlan> {
          const low = since?.low ?? null;
          const highest = since
            ? all
                .map((row) => String(row[since.column]))
                .sort(byValue)
                .at(-1)
            : undefined;
          const window = since
            ? (earlier?.window ?? (highest === undefined ? null : { column: since.column, low, high: `${highest}~` }))
            : null;
          read = window ? all.filter((row) => inWindow(String(row[window.column]), window)) : all;
          const count = Math.ceil(read.length / Math.min(splitRows, Math.max(1, read.length)));
          const splits = Array.from({ length: count }, (_, i): Split => {
            const from = i * Math.min(splitRows, read.length);
            const to = Math.min(read.length, from + splitRows);
            return { id: `rows-${i}`, estimate: { rows: to - from, bytes: null }, where: { from, to } };
          });
          return { schema, absorbed: [], window, splits, estimate: { rows: read.length, bytes: null }, continuesEarlier: earlier !== null };
        },
        offers: () => ['batches'],
        async open({ where }, format) {
          if (format !== 'batches')
            throw new MillraceError('UNSUPPORTED', { message: `Rows in memory are not ${format}.`, remedy: 'Ask for batches.' });
          const part = read.slice(where['from'] as number, where['to'] as number);
          return { format: 'batches', schema, batches: batches(schema, part, batchRows, context.signal) };
        },
        async [Symbol.asyncDispose]() {},
      };
    },
  };
}

async function* batches(schema: RowSchema, rows: Rows, size: number, signal: AbortSignal): AsyncGenerator<ColumnBatch, void, undefined> {
  for (let from = 0; from < rows.length; from += size) {
    signal.throwIfAborted();
    yield batchOfRows(schema, rows.slice(from, from + size));
    if (size === Number.POSITIVE_INFINITY) return;
  }
}

/** Numbers by value, everything else as text. The `~` that closes a window stands behind every value that begins like it. */
function byValue(a: string, b: string): number {
  const [x, y] = [Number(a.replace('~', '')), Number(b.replace('~', ''))];
  if (!Number.isNaN(x) && !Number.isNaN(y) && x !== y) return x - y;
  return a < b ? -1 : a > b ? 1 : 0;
}

const inWindow = (value: string, { low, high }: { readonly low: string | null; readonly high: string }): boolean =>
  byValue(value, high) < 0 && (low === null || byValue(value, low) >= 0);
