import { fidelity, type RowSchema } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { quoteIdentifier } from '../identifier.ts';
import { sqlType } from '../sink/sql-type.ts';
import { missingTypes } from './schema-change.ts';
import type { TargetTable } from './target-table.ts';

/**
 * An empty table is made to take what the stream brings: the table may have changed at the source since it was made, in a way that only a
 * new copy could follow. True where something was altered.
 */
export async function fitEmptyTable(session: Session, target: TargetTable, schema: RowSchema): Promise<boolean> {
  const parts: string[] = [];
  for (const column of schema.columns) {
    const there = target.columns.get(column.name);
    const name = quoteIdentifier(column.name);
    const type = sqlType(column.type);
    if (target.computed.has(column.name)) continue;
    if (!there) parts.push(`ADD COLUMN ${name} ${type}`);
    else if (fidelity(column.type, there.type) === 'lossy') parts.push(`ALTER COLUMN ${name} TYPE ${type} USING NULL`);
    else continue;
    for (const statement of await missingTypes(session, column)) await session.execute(statement);
  }
  if (parts.length > 0) await session.execute(`ALTER TABLE ${target.quoted} ${parts.join(', ')}`, [], target.shown);
  return parts.length > 0;
}
