import { quoteIdentifier } from '../identifier.ts';
import { lockOut } from './build-beside.ts';
import type { Dependents } from './dependents.ts';
import type { StagedRows } from './staged-rows.ts';
import { type Changed, insertRows, mergeRows, type Writing } from './write-table.ts';

/** Replaces the rows of a table that something hangs on, so that the table itself stays. Readers wait or see the old rows, never a part. */
export async function refill(
  writing: Writing,
  rows: StagedRows,
  staged: number,
  dependents: Dependents,
  pause: (ms: number) => Promise<void>,
): Promise<Changed> {
  const { session, target, key } = writing;
  if (!dependents.referenced) {
    await lockOut(session, target, pause);
    await session.execute(`TRUNCATE ${target}`);
    return insertRows(session, target, rows, staged);
  }
  await session.execute(`LOCK TABLE ${target} IN SHARE ROW EXCLUSIVE MODE`);
  if (key.length === 0) {
    await session.execute(`DELETE FROM ${target}`);
    return insertRows(session, target, rows, staged);
  }
  // Rows that others point at can stay where they are: only what differs is touched.
  const same = key.map((name) => `s.${quoteIdentifier(name)} = t.${quoteIdentifier(name)}`).join(' AND ');
  const { affected } = await session.execute(`DELETE FROM ${target} AS t WHERE NOT EXISTS (SELECT FROM ${rows.from} AS s WHERE ${same})`);
  return { ...(await mergeRows(writing, rows, staged)), deleted: affected ?? 0 };
}
