import { MillraceError } from '@millrace/core/runtime';
import { findRelation } from '../catalog.ts';
import type { Session } from '../client.ts';
import type { RealTable } from './table-columns.ts';

/** The table as it is now, or null. @throws UNSUPPORTED for a view and other things that hold no rows of their own */
export async function readTable(session: Session, name: string): Promise<RealTable | null> {
  const relation = await findRelation(session, name);
  if (!relation) return null;
  if (relation.kind !== 'table' && relation.kind !== 'partitioned') {
    throw new MillraceError('UNSUPPORTED', {
      message: `${name} is not a table that rows can be loaded into, but a ${relation.kind} relation.`,
      remedy: 'Name the table itself.',
      facts: { object: name, kind: relation.kind },
    });
  }
  const { oid, schema, columns } = relation;
  const unique = await session.query(
    `SELECT (SELECT json_agg(a.attname) FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) k JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k) AS columns
       FROM pg_index i WHERE i.indrelid = $1 AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL`,
    [oid],
  );
  const constraints = await session.query(
    `SELECT c.contype AS kind, c.conname AS name, pg_get_constraintdef(c.oid) AS definition,
            (SELECT json_agg(a.attname ORDER BY k.at) FROM unnest(c.conkey) WITH ORDINALITY k(number, at) JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number) AS columns,
            (SELECT json_agg(a.attname ORDER BY k.at) FROM unnest(c.confkey) WITH ORDINALITY k(number, at) JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number) AS ref_columns,
            n.nspname AS ref_schema, r.relname AS ref_name
       FROM pg_constraint c LEFT JOIN pg_class r ON r.oid = nullif(c.confrelid, 0) LEFT JOIN pg_namespace n ON n.oid = r.relnamespace
       WHERE c.conrelid = $1 AND c.contype IN ('c', 'f') AND c.confrelid <> $1`,
    [oid],
  );
  const list = (json: string | null | undefined): string[] => (json ? (JSON.parse(json) as string[]) : []);
  return {
    oid,
    schema,
    name: relation.name,
    partitioned: relation.kind === 'partitioned',
    columns,
    uniqueKeys: unique.map((row) => list(row['columns'])),
    checks: constraints
      .filter(({ kind }) => kind === 'c')
      .map((row) => ({ columns: list(row['columns']), definition: row['definition'] as string })),
    foreignKeys: constraints
      .filter(({ kind }) => kind === 'f')
      .map((row) => ({
        name: row['name'] as string,
        columns: list(row['columns']),
        refersTo: { schema: row['ref_schema'] as string, name: row['ref_name'] as string, columns: list(row['ref_columns']) },
      })),
  };
}
