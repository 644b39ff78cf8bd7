import { isMillraceError } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import type { CatalogTable } from './catalog-table.ts';

/**
 * What is remembered at the source of a table that joined a stream. Messages of the stream name columns and nothing more; to tell a column that
 * was renamed from one that was dropped, and one that came later from one that nobody declared, one has to know the numbers they had.
 */
export interface ColumnMemory {
  readonly oid: number;
  /** Numbers of all columns there were, by the names they had then. */
  readonly joined: Readonly<Record<string, number>>;
  /** Numbers of the declared columns, by the names they are declared with. */
  readonly declared: Readonly<Record<string, number>>;
  /** Which entry of which publication brings the table: another one may have left changes out in between. */
  readonly published: string | null;
}

/** By the table's name in the pipeline. Null where the source keeps nothing for us: a standby, or no privilege to make a table. */
export type ColumnMemories = ReadonlyMap<string, ColumnMemory> | null;

export const homeStatements: readonly string[] = [
  'CREATE SCHEMA IF NOT EXISTS _millrace',
  `CREATE TABLE IF NOT EXISTS _millrace.captured_table (
     slot text NOT NULL, "table" text NOT NULL, oid oid NOT NULL, joined jsonb NOT NULL, declared jsonb NOT NULL, published text,
     PRIMARY KEY (slot, "table"))`,
];

/** False where the source does not let us. */
export async function makeHome(session: Session): Promise<boolean> {
  const [row] = await session.query(
    `select to_regclass('_millrace.captured_table') is not null as there, pg_is_in_recovery() as standby,
       case when to_regclass('_millrace.captured_table') is not null then has_table_privilege('_millrace.captured_table', 'insert') end as writable`,
  );
  if (row?.['standby'] === 't') return false;
  if (row?.['there'] === 't') return row['writable'] === 't';
  try {
    for (const statement of homeStatements) await session.execute(statement);
    return true;
  } catch (error) {
    const state = isMillraceError(error) ? error.facts['sqlstate'] : undefined;
    if (state === '42501' || state === '25006') return false;
    // Another stream of this database was making it at the same moment.
    if (state === '42P07' || state === '23505' || state === '42P06') return makeHome(session);
    throw error;
  }
}

export async function readMemories(session: Session, slot: string): Promise<ColumnMemories> {
  const [there] = await session.query(
    `select case when to_regclass('_millrace.captured_table') is not null then has_table_privilege('_millrace.captured_table', 'select') end as readable`,
  );
  if (there?.['readable'] !== 't') return null;
  const rows = await session.query(
    'select "table", oid::text, joined::text, declared::text, published from _millrace.captured_table where slot = $1',
    [slot],
  );
  return new Map(
    rows.map((row) => [
      row['table'] ?? '',
      {
        oid: Number(row['oid']),
        joined: JSON.parse(row['joined'] ?? '{}') as Record<string, number>,
        declared: JSON.parse(row['declared'] ?? '{}') as Record<string, number>,
        published: row['published'] ?? null,
      },
    ]),
  );
}

export async function writeMemory(session: Session, slot: string, table: string, memory: ColumnMemory): Promise<void> {
  await session.query(
    `insert into _millrace.captured_table (slot, "table", oid, joined, declared, published) values ($1, $2, $3::oid, $4, $5, $6)
     on conflict (slot, "table") do update
     set oid = excluded.oid, joined = excluded.joined, declared = excluded.declared, published = excluded.published`,
    [slot, table, memory.oid, JSON.stringify(memory.joined), JSON.stringify(memory.declared), memory.published],
  );
}

/** Of all slots of a stream, by what their names begin with. */
export async function forgetMemories(session: Session, slots: string): Promise<void> {
  if (await makeHome(session)) await session.query('delete from _millrace.captured_table where starts_with(slot, $1)', [`${slots}_`]);
}

/** Marks the entries by which tables are published, so that none is taken for one that has brought everything. */
export async function markIncomplete(session: Session, slot: string, table: string | null): Promise<void> {
  if (!(await makeHome(session))) return;
  await session.query(
    `update _millrace.captured_table set published = coalesce(published, '') || ' (incomplete)'
     where slot = $1 and ($2::text is null or "table" = $2) and coalesce(published, '') not like '%(incomplete)'`,
    [slot, table],
  );
}

/** A table that joins now. */
export function memoryOf(catalog: CatalogTable, declared: readonly string[], published: string | null): ColumnMemory {
  const joined = Object.fromEntries(catalog.columns.map(({ name, number }) => [name, number]));
  return {
    oid: catalog.oid,
    joined,
    declared: Object.fromEntries(declared.flatMap((name) => (joined[name] === undefined ? [] : [[name, joined[name]]]))),
    published,
  };
}

/**
 * The numbers of declared columns, by name. A declaration that has not changed means the columns it meant before; a name that is new in it is
 * one of the catalog as it is now.
 */
export function declaredNumbers(
  declared: readonly string[],
  before: Readonly<Record<string, number>> | null,
  now: Readonly<Record<string, number>>,
): Record<string, number> {
  if (before === null) return pick(declared, now);
  const fresh = declared.filter((name) => before[name] === undefined && now[name] !== undefined);
  const taken = new Set(fresh.map((name) => now[name]));
  return Object.fromEntries(
    declared.flatMap((name) => {
      const known = fresh.includes(name) || taken.has(before[name]) ? now[name] : before[name];
      return known === undefined ? [] : [[name, known]];
    }),
  );
}

const pick = (names: readonly string[], from: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(names.flatMap((name) => (from[name] === undefined ? [] : [[name, from[name]]])));
