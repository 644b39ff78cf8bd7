import { quoteIdentifier } from '../identifier.ts';
import type { Landing } from './landing.ts';

/** Rows that wait in staging tables, as a FROM clause names them, and how to bring them into the table. */
export interface StagedRows {
  /** Quoted. */
  readonly tables: readonly string[];
  /** `"pg_temp"."landing"`, or a UNION ALL of the parts in brackets. */
  readonly from: string;
  readonly landing: Landing;
  /** Later rows of a load win over earlier ones: by the cursor, then by part, then by place in the part. */
  readonly newestFirst: string;
}

/** The place of a row in its staging table; no table of a user has such a column. */
export const ordinal = '__millrace_ordinal';
const part = '__millrace_part';

export function stagedRows(tables: readonly string[], landing: Landing, cursor: string | null): StagedRows {
  const columns = landing.columns.map(({ name }) => quoteIdentifier(name)).join(', ');
  const one = tables.length === 1 ? tables[0] : undefined;
  if (tables.length === 0) {
    const none = landing.columns.map(({ name, sqlType }) => `NULL::${sqlType} AS ${quoteIdentifier(name)}`).join(', ');
    return { tables, from: `(SELECT ${none} WHERE false)`, landing, newestFirst: '1' };
  }
  const from = one ?? `(${tables.map((table, at) => `SELECT ${at} AS ${part}, ${ordinal}, ${columns} FROM ${table}`).join(' UNION ALL ')})`;
  // A function may have left the cursor out of its rows.
  const ordered = cursor !== null && landing.columns.some(({ name }) => name === cursor);
  const newest = [
    ...(ordered ? [`s.${quoteIdentifier(cursor)} DESC NULLS LAST`] : []),
    ...(one ? [] : [`s.${part} DESC`]),
    `s.${ordinal} DESC`,
  ];
  return { tables, from, landing, newestFirst: newest.join(', ') };
}

export interface StagingOptions {
  /** `SESSION` is a temporary table that outlives the transaction. */
  readonly persistence: 'TEMP' | 'SESSION' | 'UNLOGGED';
  readonly notNull: ReadonlySet<string>;
}

/** A staging table: columns in the order in which they come, then the ordinal. */
export function stagingTable(name: string, landing: Landing, { persistence, notNull }: StagingOptions): string {
  const columns = landing.columns.map(
    (column) => `${quoteIdentifier(column.name)} ${column.sqlType}${notNull.has(column.name) ? ' NOT NULL' : ''}`,
  );
  // The cache saves a look at the sequence for each row; within one session it keeps their order.
  columns.push(`${ordinal} bigint GENERATED ALWAYS AS IDENTITY (CACHE 10000)`);
  return `CREATE ${persistence === 'UNLOGGED' ? 'UNLOGGED' : 'TEMP'} TABLE ${name} (${columns.join(', ')})${persistence === 'TEMP' ? ' ON COMMIT DROP' : ''}`;
}

/** The columns of the table that rows are written to, and what is selected for each. */
export function written(
  landing: Landing,
  alias = 's',
): { readonly columns: readonly string[]; readonly into: string; readonly values: string } {
  const columns = landing.columns.filter(({ value }) => value !== null);
  return {
    columns: columns.map(({ name }) => name),
    into: columns.map(({ name }) => quoteIdentifier(name)).join(', '),
    values: columns.map(({ value }) => `${alias}.${value}`).join(', '),
  };
}
