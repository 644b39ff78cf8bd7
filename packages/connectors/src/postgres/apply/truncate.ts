import type { Session } from '../client.ts';
import type { TargetTable } from './target-table.ts';

/** Empties tables, sequences left as they are. Where rows of other tables point at them, row by row: TRUNCATE would be refused. */
export async function truncate(session: Session, targets: readonly TargetTable[]): Promise<void> {
  if (targets.length === 0) return;
  const oids = targets.map(({ real }) => Number(real.oid));
  const [row] = await session.query(
    `SELECT EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND confrelid = ANY ($1::oid[]) AND NOT conrelid = ANY ($1::oid[])) AS referred`,
    [`{${oids.join(',')}}`],
  );
  const names = targets.map(({ quoted }) => quoted);
  if (row?.['referred'] === 't') for (const name of names) await session.execute(`DELETE FROM ${name}`);
  else await session.execute(`TRUNCATE ${names.join(', ')}`);
}
