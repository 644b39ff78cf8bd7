import { isMillraceError } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { fillOf } from './catalog-table.ts';
import { makeHome } from './column-memory.ts';
import type { SourceTypes } from './source-types.ts';
import type { SourceColumn } from './stream-columns.ts';

/** The prefix of messages in which a source tells the columns of a table after each ALTER TABLE. */
export const ddlPrefix = 'millrace_ddl';
export const triggerName = 'millrace_announce_columns';

/** Never stands in the way of the ALTER TABLE that it is called for: what it cannot say is found out from the stream, less exactly. */
const functionText = `CREATE OR REPLACE FUNCTION _millrace.announce_columns() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $millrace$
DECLARE
  relation record;
BEGIN
  FOR relation IN
    SELECT DISTINCT c.oid FROM pg_event_trigger_ddl_commands() d JOIN pg_class c ON c.oid = d.objid
    WHERE d.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
  LOOP
    PERFORM pg_logical_emit_message(true, '${ddlPrefix}', json_build_object('oid', relation.oid::int8, 'columns', (
      SELECT json_agg(json_build_object('number', a.attnum, 'name', a.attname, 'type', a.atttypid::int8, 'modifier', a.atttypmod,
        'notNull', a.attnotnull, 'hasDefault', a.atthasdef OR a.attidentity <> '', 'hasFill', a.atthasmissing,
        'fill', (a.attmissingval::text::text[])[1], 'generated', a.attgenerated <> '') ORDER BY a.attnum)
      FROM pg_attribute a WHERE a.attrelid = relation.oid AND a.attnum > 0 AND NOT a.attisdropped))::text);
  END LOOP;
  -- A message is ordered by where its record ends, a row by where it begins: this one keeps the next row from being taken for the earlier.
  PERFORM pg_logical_emit_message(true, '${ddlPrefix}', '');
EXCEPTION WHEN OTHERS THEN
  RAISE WARNING 'millrace could not announce the columns: %', SQLERRM;
END
$millrace$`;

export const triggerStatements: readonly string[] = [
  functionText,
  `CREATE EVENT TRIGGER ${triggerName} ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION _millrace.announce_columns()`,
];

/** Whether ALTER TABLE is announced in this database. */
export async function hasTrigger(session: Session): Promise<boolean> {
  const [row] = await session.query(`select evtenabled <> 'D' as on from pg_event_trigger where evtname = $1`, [triggerName]);
  return row?.['on'] === 't';
}

/** Installs the trigger where this user may; answers whether it is there. For the function to be there, the schema has to. */
export async function installTrigger(session: Session): Promise<boolean> {
  if (await hasTrigger(session)) return true;
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

/** Columns of a table, as of their place in the stream. */
export interface AnnouncedColumns {
  readonly oid: number;
  readonly columns: readonly AnnouncedColumn[];
}

interface AnnouncedColumn {
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
    const { oid, columns } = JSON.parse(content.toString('utf8')) as Partial<AnnouncedColumns>;
    return typeof oid === 'number' && Array.isArray(columns) && columns.every(isColumn) ? { oid, columns } : null;
  } catch {
    return null;
  }
}

const isColumn = (one: Partial<AnnouncedColumn>): boolean =>
  typeof one.number === 'number' && typeof one.name === 'string' && typeof one.type === 'number' && typeof one.modifier === 'number';

export function announcedColumns({ columns }: AnnouncedColumns, types: SourceTypes): (SourceColumn & { readonly generated: boolean })[] {
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
