import type { Session } from '../client.ts';
import { quoteIdentifier, showName } from '../identifier.ts';
import { hasUniqueKey } from '../sink/table-columns.ts';
import { readTarget, type TargetTable } from './target-table.ts';

/**
 * The key of a table that this stream has made: taken away before a first copy and made again after it, since one sort of all keys costs
 * less than a search for each. It stays where foreign keys rely on it.
 */
export async function dropKey(session: Session, { real, quoted }: TargetTable): Promise<void> {
  const [row] = await session.query(
    `SELECT conname AS name FROM pg_constraint c WHERE conrelid = $1 AND contype = 'p'
     AND NOT EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.conindid = c.conindid)`,
    [real.oid],
  );
  if (row) await session.execute(`ALTER TABLE ${quoted} DROP CONSTRAINT ${quoteIdentifier(row['name'] as string)}`);
}

export async function addKey(session: Session, { table, real, quoted, key }: TargetTable): Promise<void> {
  if (key.length === 0) return;
  const now = await readTarget(session, table, showName(real), key);
  if (now && hasUniqueKey(now.real, key)) return;
  await session.execute(`SET LOCAL maintenance_work_mem = '256MB'`);
  await session.execute(`ALTER TABLE ${quoted} ADD PRIMARY KEY (${key.map((name) => quoteIdentifier(name)).join(', ')})`);
}
