import { batchesOf, rowsOf, type Table } from '@millrace/core/runtime';
import { testContext } from '@millrace/core/testing';
import type { mariadb } from '../src/mysql/index.ts';

/** The rows of a table as a load reads them, in the order of their `id`. */
export async function selectedRows(connection: ReturnType<typeof mariadb>, declared: Table): Promise<Record<string, unknown>[]> {
  await using source = await connection.selection(declared).open(testContext());
  const plan = await source.plan({ absorbed: [], since: null, splitBytes: 1e9, earlier: null });
  const rows: Record<string, unknown>[] = [];
  for (const split of plan.splits) for await (const batch of batchesOf(await source.open(split, 'batches'))) rows.push(...rowsOf(batch));
  return rows.sort((a, b) => Number(a['id']) - Number(b['id']));
}
