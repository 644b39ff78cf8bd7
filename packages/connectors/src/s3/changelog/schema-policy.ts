import { type ColumnChange, MillraceError, type SchemaChange, type SchemaPolicy } from '@millrace/core/runtime';

/**
 * What a log does with a change of columns. It keeps what it has, so nothing is lost by a column that goes or becomes another type: those
 * are recorded whatever the policy for tables says. A column that comes can hold what nobody has looked at yet, so it waits where
 * the policy says so.
 *
 * @returns columns that are to be left out of the log
 * @throws SCHEMA_CHANGED
 */
export function columnsLeftOut({ table, changes }: SchemaChange, policy: SchemaPolicy): string[] {
  return changes.flatMap((change) => {
    if (change.change === 'add' && policy.add !== 'apply') {
      if (policy.add === 'pause') throw paused(table, change, `has a new column "${change.column.name}"`);
      return [change.column.name];
    }
    if (change.change === 'rename' && policy.rename === 'pause')
      throw paused(table, change, `calls its column "${change.from}" now "${change.to}"`);
    return [];
  });
}

function paused(table: string, change: ColumnChange, what: string): MillraceError {
  return new MillraceError('SCHEMA_CHANGED', {
    message: `The table "${table}" ${what} at the source, and schemaChanges says to wait for a person.`,
    remedy: `Bring the pipeline up to date, or set schemaChanges: { ${change.change}: 'apply' }, and start it again: it goes on from here.`,
    facts: { table, change },
  });
}
