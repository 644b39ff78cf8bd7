import { int8, numeric, table, text, timestamptz } from '@millrace/core';
import { type ChangeSink, isMillraceError, type SinkStream } from '@millrace/core/runtime';
import { type ApplyOptions, type RedisOptions, redis } from '../src/redis/index.ts';
import { type Change, groupOf, positionAt, streamOf } from './hand-made.ts';
import { batches, type Row, split, testContext } from './load.ts';

/** A table that a cache follows, in tests. */
export const orders = table(
  'public.orders',
  { id: int8(), customer: text().orNull(), total: numeric(12, 2).orNull(), at: timestamptz().orNull() },
  { key: ['id'] },
);
export const tables = { orders };
export const at = '2026-03-29T02:00:00.123456Z';
export const order = (id: number, customer: string | null = 'ann', total: string | null = '1.50'): Row => ({
  id: BigInt(id),
  customer,
  total,
  at,
});
export const insert = (row: Row): Change => ({ op: 'insert', table: 'orders', row });
export const update = (row: Row, unchanged: readonly string[] = [], old?: Row): Change => ({
  op: 'update',
  table: 'orders',
  row,
  unchanged,
  ...(old && { old }),
});
export const remove = (id: number): Change => ({ op: 'delete', table: 'orders', old: { id: BigInt(id) } });
export const group = (at: number, ...changes: Change[]) => groupOf(tables, [{ at, changes }]);

export interface Following extends RedisOptions {
  readonly apply?: ApplyOptions;
  readonly epoch?: number;
  readonly rows?: readonly Row[];
  readonly memoryBudget?: number;
}

/** An attempt that has taken over; the first one has copied the rows. */
export async function following({ apply, epoch = 1, rows = [], memoryBudget, ...options }: Following): Promise<ChangeSink> {
  const stream: SinkStream = {
    owner: { pipeline: 'shop', step: 'cached' },
    pipelineRun: 'run',
    tables,
    policy: { add: 'apply', drop: 'pause', rename: 'apply', retype: 'widen' },
  };
  const sink = await redis(options)
    .apply(apply)
    .open(testContext(undefined, { ...(memoryBudget && { memoryBudget }) }));
  try {
    const { identity } = await sink.begin(stream, { key: 'shop/cached', epoch });
    if (identity !== null) return sink;
    await sink.follow(streamOf(), positionAt(16));
    await using copy = await sink.copy('orders', 'fresh', positionAt(16));
    await copy.stage(split(0), batches(orders, rows));
    await copy.finish(positionAt(16));
    return sink;
  } catch (error) {
    await sink[Symbol.asyncDispose]();
    throw error;
  }
}

/** The code of the error that it ends with. */
export const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'nothing was thrown',
    (error: unknown) => (isMillraceError(error) ? error.code : String(error)),
  );
