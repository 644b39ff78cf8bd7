import { isMillraceError } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { parseLsn } from '../replication/lsn.ts';
import { fillOf, fillOfColumn, partitionsOf } from './catalog-table.ts';
import { makeHome } from './column-memory.ts';
import type { SourceTypes } from './source-types.ts';
import type { SourceColumn } from './stream-columns.ts';

/** The prefix of messages in which a source tells the columns of a table after each ALTER TABLE, and after each ALTER TYPE of a type that it has. */
export const ddlPrefix = 'millrace_ddl';
export const triggerName = 'millrace_announce_columns';

/**
 * Keeps what it tells, and tells what the columns of a table were before as well: who begins to read in the middle does not know which columns
 * came since they were declared. Never stands in the way of the ALTER TABLE that it is called for: what it cannot say is found out from the
 * stream, less exactly. Runs as its owner, since whoever alters a table need not know of us.
 */
const functionBody = `
DECLARE
  relation record;
  now json;
  was json;
BEGIN
  FOR relation IN
    SELECT c.oid, bool_or(d.is_type) AS retyped FROM (
      SELECT objid AS oid, false AS is_type FROM pg_event_trigger_ddl_commands() WHERE classid = 'pg_class'::regclass
      UNION ALL
      SELECT a.attrelid, true FROM pg_event_trigger_ddl_commands() e JOIN pg_type t ON t.oid = e.objid OR t.typelem = e.objid OR t.typbasetype = e.objid
        JOIN pg_attribute a ON a.atttypid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
      WHERE e.classid = 'pg_type'::regclass
    ) d JOIN pg_class c ON c.oid = d.oid
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' GROUP BY c.oid
  LOOP
    now := (
      WITH RECURSIVE ${partitionsOf('relation.oid')}
      SELECT json_agg(json_build_object('number', a.attnum, 'name', a.attname, 'type', a.atttypid::int8, 'modifier', a.atttypmod,
        'notNull', a.attnotnull, 'hasDefault', a.atthasdef OR a.attidentity <> '', 'hasFill', f.has_fill,
        'fill', f.fill, 'generated', a.attgenerated <> '') ORDER BY a.attnum)
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid CROSS JOIN ${fillOfColumn} f
      WHERE c.oid = relation.oid AND a.attnum > 0 AND NOT a.attisdropped);
    was := NULL;
    BEGIN
      SELECT t.columns INTO was FROM _millrace.announced_columns t WHERE t.oid = relation.oid ORDER BY t.lsn DESC LIMIT 1;
      INSERT INTO _millrace.announced_columns VALUES (relation.oid, pg_current_wal_insert_lsn(), now)
      ON CONFLICT (oid, lsn) DO UPDATE SET columns = excluded.columns;
    EXCEPTION WHEN OTHERS THEN
      RAISE WARNING 'millrace could not remember the columns: %', SQLERRM;
    END;
    PERFORM pg_logical_emit_message(true, '${ddlPrefix}', json_build_object('oid', relation.oid::int8, 'before', was, 'columns', now, 'retyped', relation.retyped)::text);
  END LOOP;
  -- A message is ordered by where its record ends, a row by where it begins: this one keeps the next row from being taken for the earlier.
  PERFORM pg_logical_emit_message(true, '${ddlPrefix}', '');
EXCEPTION WHEN OTHERS THEN
  RAISE WARNING 'millrace could not announce the columns: %', SQLERRM;
END
`;

const functionText = `CREATE OR REPLACE FUNCTION _millrace.announce_columns() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $millrace$${functionBody}$millrace$`;

const triggerText = `CREATE EVENT TRIGGER ${triggerName} ON ddl_command_end WHEN TAG IN ('ALTER TABLE', 'ALTER TYPE') EXECUTE FUNCTION _millrace.announce_columns()`;

export const triggerStatements: readonly string[] = [
  'CREATE TABLE IF NOT EXISTS _millrace.announced_columns (oid oid NOT NULL, lsn pg_lsn NOT NULL, columns json NOT NULL, PRIMARY KEY (oid, lsn))',
  functionText,
  triggerText,
];

/** Whether ALTER TABLE is announced in this database. */
export async function hasTrigger(session: Session): Promise<boolean> {
  const [row] = await session.query(`select evtenabled <> 'D' as on from pg_event_trigger where evtname = $1`, [triggerName]);
  return row?.['on'] === 't';
}

/** Installs the trigger where this user may; answers whether it is there. For the function to be there, the schema has to. */
export async function installTrigger(session: Session): Promise<boolean> {
  if (await hasTrigger(session)) {
    await renew(session);
    return true;
  }
  if (!(await makeHome(session))) return false;
  try {
    for (const statement of triggerStatements) await session.execute(statement);
    return true;
  } catch (error) {
    const state = isMillraceError(error) ? error.facts['sqlstate'] : undefined;
    if (state === '42501' || state === '25006' || state === '42710' || state === '23505') return hasTrigger(session);
    throw error;
  }
}

/** An earlier version may have installed it, and told less. Whoever may not change it goes on with it as it is. */
async function renew(session: Session): Promise<void> {
  const [row] = await session.query(
    `select p.prosrc as body, 'ALTER TYPE' = any(t.evttags) as types from pg_event_trigger t join pg_proc p on p.oid = t.evtfoid where t.evtname = $1`,
    [triggerName],
  );
  if (!row || (row['body'] === functionBody && row['types'] === 't')) return;
  try {
    await session.execute(functionText);
    if (row['types'] !== 't') await session.execute(`BEGIN; DROP EVENT TRIGGER IF EXISTS ${triggerName}; ${triggerText}; COMMIT`);
  } catch (error) {
    await session.execute('ROLLBACK');
    const state = isMillraceError(error) ? String(error.facts['sqlstate']) : '';
    // The last three: another stream of this database does the same at this moment.
    if (!['42501', '25006', 'XX000', '42710', '23505'].includes(state)) throw error;
  }
}

/** What the trigger has told of a table so far, oldest first. */
export type ColumnHistory = readonly { readonly lsn: bigint; readonly columns: readonly AnnouncedColumn[] }[];

/** By the tables' OIDs. Empty where there is no trigger, or this user may not see what it keeps. */
export async function readHistories(session: Session, oids: readonly number[]): Promise<ReadonlyMap<number, ColumnHistory>> {
  if (!(await canSeeKept(session))) return new Map();
  const rows = await session.query(
    'select oid::text, lsn::text, columns::text from _millrace.announced_columns where oid = any($1::oid[]) order by oid, lsn',
    [`{${oids.join(',')}}`],
  );
  const histories = new Map<number, { lsn: bigint; columns: readonly AnnouncedColumn[] }[]>();
  for (const row of rows) {
    const columns: unknown = JSON.parse(row['columns'] ?? '[]');
    if (!areColumns(columns)) continue;
    const oid = Number(row['oid']);
    histories.set(oid, [...(histories.get(oid) ?? []), { lsn: parseLsn(row['lsn'] ?? '0/0'), columns }]);
  }
  return histories;
}

/** Columns of a table, as of their place in the stream. */
export interface AnnouncedColumns {
  readonly oid: number;
  /** Before the change; null where nobody had looked. */
  readonly before: readonly AnnouncedColumn[] | null;
  readonly columns: readonly AnnouncedColumn[];
  /** Types of its columns are others than before, under the same numbers: an enum has got labels. */
  readonly retyped: boolean;
}

export interface AnnouncedColumn {
  readonly number: number;
  readonly name: string;
  readonly type: number;
  readonly modifier: number;
  readonly notNull: boolean;
  readonly hasDefault: boolean;
  readonly hasFill: boolean;
  readonly fill: string | null;
  readonly generated: boolean;
}

/** Null for what the trigger has not written; anybody may emit messages. */
export function readAnnouncement(content: Buffer): AnnouncedColumns | null {
  try {
    const { oid, before = null, columns, retyped = false } = JSON.parse(content.toString('utf8')) as Partial<AnnouncedColumns>;
    return typeof oid === 'number' && areColumns(columns) && (before === null || areColumns(before))
      ? { oid, before, columns, retyped: retyped === true }
      : null;
  } catch {
    return null;
  }
}

/**
 * Whether the trigger has said so. Everybody who may log in may write messages, and only the trigger writes the table in which it keeps what it
 * tells. Where this user may not see that table, or it is gone, messages are believed.
 */
export async function isKept(session: Session, { oid, before, columns }: AnnouncedColumns): Promise<boolean> {
  if (!(await canSeeKept(session))) return true;
  const [row] = await session.query(
    `select exists (select from _millrace.announced_columns where oid = $1::oid and columns::jsonb = $2::jsonb)
       and ($3::jsonb is null or exists (select from _millrace.announced_columns where oid = $1::oid and columns::jsonb = $3::jsonb)) as kept`,
    [oid, JSON.stringify(columns), before && JSON.stringify(before)],
  );
  return row?.['kept'] === 't';
}

async function canSeeKept(session: Session): Promise<boolean> {
  const [there] = await session.query(
    `select case when to_regclass('_millrace.announced_columns') is not null then has_table_privilege('_millrace.announced_columns', 'select') end as readable`,
  );
  return there?.['readable'] === 't';
}

const areColumns = (columns: unknown): columns is AnnouncedColumn[] => Array.isArray(columns) && columns.every(isColumn);
const isColumn = (one: Partial<AnnouncedColumn>): boolean =>
  typeof one.number === 'number' && typeof one.name === 'string' && typeof one.type === 'number' && typeof one.modifier === 'number';

export function announcedColumns(
  columns: readonly AnnouncedColumn[],
  types: SourceTypes,
): (SourceColumn & { readonly generated: boolean })[] {
  return columns.map((column) => ({
    number: column.number,
    name: column.name,
    type: types.type(column.type, column.modifier),
    typeOid: column.type,
    modifier: column.modifier,
    notNull: column.notNull,
    fill: fillOf(column),
    generated: column.generated,
  }));
}
