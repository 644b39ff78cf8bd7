import { MillraceError } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { quoteIdentifier, quoteName } from '../identifier.ts';
import type { Rejecting } from './copy-into.ts';
import type { Landing } from './landing.ts';
import { ordinal } from './staged-rows.ts';
import type { ForeignKey, RealTable } from './table-columns.ts';

/**
 * Rows in a staging table that point at nothing: a staging table has no foreign keys, and the INSERT at the end could only fail as
 * a whole. Null where there is none to look at.
 */
export async function strayFinder(
  session: Session,
  staging: string,
  table: RealTable,
  landing: Landing,
): Promise<Rejecting['strays'] | null> {
  const loaded = new Set(landing.columns.flatMap(({ name, value }) => (value === null ? [] : [name])));
  const keys = table.foreignKeys.filter(({ columns }) => columns.every((column) => loaded.has(column)));
  if (keys.length === 0) return null;
  // Each batch is found by its ordinals; without the index each would cost a look at all before it.
  await session.execute(`CREATE INDEX ON ${staging} (${ordinal})`);
  let after = 0n;
  return async () => {
    const found = [];
    const [last] = await session.query(`SELECT coalesce(max(${ordinal}), 0) AS ordinal FROM ${staging}`);
    for (const key of keys) {
      for (const row of await session.query(straysOf(staging, landing, key), [after])) {
        found.push({ at: BigInt(row['ordinal'] as string), error: strayError(table, key) });
      }
    }
    const places = found.length === 0 ? new Map<string, number>() : await placesOf(session, staging, after);
    const strays = [...new Map(found.map((one) => [one.at, one])).values()];
    if (strays.length > 0)
      await session.execute(`DELETE FROM ${staging} WHERE ${ordinal} = ANY ($1)`, [`{${strays.map(({ at }) => at).join(',')}}`]);
    after = BigInt(last?.['ordinal'] as string);
    return strays.map(({ at, error }) => ({ place: places.get(String(at)) ?? 0, error })).sort((a, b) => a.place - b.place);
  };
}

/** A row with a NULL in its key points nowhere and is let in, as MATCH SIMPLE has it. */
function straysOf(staging: string, landing: Landing, key: ForeignKey): string {
  const value = (column: string): string => `s.${landing.columns.find(({ name }) => name === column)?.value ?? quoteIdentifier(column)}`;
  const there = key.columns.map((column) => `${value(column)} IS NOT NULL`).join(' AND ');
  const same = key.columns.map((column, at) => `r.${quoteIdentifier(key.refersTo.columns[at] ?? column)} = ${value(column)}`).join(' AND ');
  return `SELECT ${ordinal} AS ordinal FROM ${staging} AS s WHERE ${ordinal} > $1 AND ${there} AND NOT EXISTS (SELECT FROM ${quoteName(key.refersTo)} AS r WHERE ${same})`;
}

async function placesOf(session: Session, staging: string, after: bigint): Promise<Map<string, number>> {
  const rows = await session.query(`SELECT ${ordinal} AS ordinal FROM ${staging} WHERE ${ordinal} > $1 ORDER BY 1`, [after]);
  return new Map(rows.map((row, place) => [row['ordinal'] as string, place]));
}

const strayError = (table: RealTable, key: ForeignKey): MillraceError =>
  new MillraceError('TYPE_MISMATCH', {
    message: `The row breaks the foreign key "${key.name}" of ${table.schema}.${table.name}: what it points at in ${key.refersTo.schema}.${key.refersTo.name} is not there.`,
    remedy: 'Load the table it points at first, or correct the row; with onBadRow such rows can be set aside.',
    facts: { sqlstate: '23503', constraint: key.name },
  });
