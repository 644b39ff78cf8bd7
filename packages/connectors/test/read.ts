import { buffer } from 'node:stream/consumers';
import { type Context, type ReadPlan, type ReadRequest, type RowSource, rowsOf, type Selection } from '@millrace/core/runtime';
import { type Row, testContext } from './load.ts';

export const wholeTable: ReadRequest = { absorbed: [], since: null, splitBytes: 256 * 1024 * 1024, earlier: null };

export interface Read {
  readonly plan: ReadPlan;
  /** Split by split, in the order of the plan. */
  readonly splits: readonly (readonly Row[])[];
  readonly rows: readonly Row[];
}

/** Plans and reads everything there is, all splits at once. */
export async function readAll(selection: Selection, request: Partial<ReadRequest> = {}, context: Context = testContext()): Promise<Read> {
  await using source = await selection.open(context);
  await source.describe();
  const plan = await source.plan({ ...wholeTable, ...request });
  return await readPlan(source, plan);
}

export async function readPlan(source: RowSource, plan: ReadPlan): Promise<Read> {
  const splits = await Promise.all(
    plan.splits.map(async (split) => {
      const channel = await source.open(split, 'batches');
      if (channel.format !== 'batches') throw new Error('not batches');
      const rows: Row[] = [];
      for await (const batch of channel.batches) rows.push(...rowsOf(batch));
      return rows;
    }),
  );
  return { plan, splits, rows: splits.flat() };
}

/** The bytes of all splits in one of the wire formats, and the rows the source says it sent. */
export async function readBytes(
  selection: Selection,
  format: 'csv' | 'pgcopy-binary',
  request: Partial<ReadRequest> = {},
  context: Context = testContext(),
) {
  await using source = await selection.open(context);
  const plan = await source.plan({ ...wholeTable, ...request });
  const parts: Buffer[] = [];
  let rows = 0;
  for (const split of plan.splits) {
    const channel = await source.open(split, format);
    if (channel.format === 'batches') throw new Error('batches');
    parts.push(await buffer(channel.stream));
    rows += (await channel.done).rows;
  }
  return { bytes: Buffer.concat(parts), rows, plan };
}
