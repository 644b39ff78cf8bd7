import type { Position } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { quoteIdentifier } from '../identifier.ts';
import { changed } from '../sink/merge.ts';
import { deletedAt, history, versionPosition } from './settings.ts';
import type { TargetTable } from './target-table.ts';

/**
 * Brings a new copy into a table that keeps what was: rows that the copy lacks have ended, rows that differ have changed, and nobody knows
 * exactly when. So the time is that of the copy.
 */
export async function takeIn(
  session: Session,
  mode: 'soft-delete' | 'history',
  target: TargetTable,
  copy: TargetTable,
  position: Position,
  time: string,
): Promise<void> {
  const names = [...copy.columns.keys()].filter((name) => target.columns.has(name));
  const data = names.filter((name) => !target.key.includes(name));
  const columns = names.map((name) => quoteIdentifier(name)).join(', ');
  const same = target.key.map((name) => `s.${quoteIdentifier(name)} = t.${quoteIdentifier(name)}`).join(' AND ');
  const differs = data.length === 0 ? 'false' : changed(data, 't', 's');
  await session.execute(`LOCK TABLE ${target.quoted} IN SHARE ROW EXCLUSIVE MODE`);
  await session.execute(`ANALYZE ${copy.quoted}`);
  if (mode === 'soft-delete') {
    const end = quoteIdentifier(deletedAt);
    const key = target.key.map((name) => quoteIdentifier(name)).join(', ');
    const set = [...data.map((name) => `${quoteIdentifier(name)} = excluded.${quoteIdentifier(name)}`), `${end} = NULL`].join(', ');
    await session.query(
      `UPDATE ${target.quoted} AS t SET ${end} = $1::timestamptz WHERE t.${end} IS NULL AND NOT EXISTS (SELECT FROM ${copy.quoted} AS s WHERE ${same})`,
      [time],
    );
    await session.execute(
      `INSERT INTO ${target.quoted} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${columns} FROM ${copy.quoted} AS s
       WHERE NOT EXISTS (SELECT FROM ${target.quoted} AS t WHERE ${same} AND t.${end} IS NULL AND NOT (${differs})) ON CONFLICT (${key}) DO UPDATE SET ${set}`,
    );
    return;
  }
  const [from, to, current] = [history.validFrom, history.validTo, history.isCurrent].map((name) => quoteIdentifier(name));
  await session.query(
    `UPDATE ${target.quoted} AS t SET ${to} = greatest($1::timestamptz, t.${from}), ${current} = false
     WHERE t.${current} AND NOT EXISTS (SELECT FROM ${copy.quoted} AS s WHERE ${same} AND NOT (${differs}))`,
    [time],
  );
  await session.query(
    `INSERT INTO ${target.quoted} (${columns}, ${from}, ${current}, ${quoteIdentifier(versionPosition)}) OVERRIDING SYSTEM VALUE
     SELECT ${columns}, $1::timestamptz, true, $2::text FROM ${copy.quoted} AS s WHERE NOT EXISTS (SELECT FROM ${target.quoted} AS t WHERE ${same} AND t.${current})`,
    [time, justBefore(position)],
  );
}

/** A text that sorts after every commit before the position, and before a commit at it. */
function justBefore(position: Position): string {
  return `${position.slice(0, -1)}${String.fromCharCode(position.charCodeAt(position.length - 1) - 1)}~`;
}
