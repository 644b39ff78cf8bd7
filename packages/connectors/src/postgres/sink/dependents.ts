import type { Session } from '../client.ts';

/** What decides how a table can be replaced. */
export interface Dependents {
  /** Why another table cannot quietly take this one's place; empty where it can. */
  readonly reasons: readonly string[];
  /** True where rows of other tables point here: TRUNCATE is then refused. */
  readonly referenced: boolean;
}

/** Looks for everything that hangs on the table and that a new table under its name would not have. `$1` is the table's oid. */
const query = `
WITH t AS (SELECT c.*, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1),
reasons AS (
  SELECT 1 AS at, 'it is partitioned, a partition, or takes part in inheritance' AS reason FROM t
    WHERE relkind <> 'r' OR relispartition OR reloftype <> 0 OR EXISTS (SELECT FROM pg_inherits WHERE inhrelid = t.oid OR inhparent = t.oid)
  UNION ALL
  SELECT 2, format('%s refers to it by a foreign key', conrelid::regclass) FROM pg_constraint WHERE contype = 'f' AND confrelid = $1 AND conrelid <> $1
  UNION ALL
  SELECT 2, 'it refers to itself by a foreign key' FROM pg_constraint WHERE contype = 'f' AND confrelid = $1 AND conrelid = $1
  UNION ALL
  SELECT DISTINCT 3, format('%s %s reads it', CASE v.relkind WHEN 'm' THEN 'the materialized view' ELSE 'the view' END, v.oid::regclass)
    FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND v.oid <> $1
  UNION ALL
  SELECT 4, 'it has rules' FROM t WHERE relhasrules
  UNION ALL
  SELECT 5, format('it has the trigger %I', tgname) FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal
  UNION ALL
  SELECT 6, 'it has row level security' FROM t WHERE relrowsecurity OR relforcerowsecurity OR EXISTS (SELECT FROM pg_policy WHERE polrelid = t.oid)
  UNION ALL
  SELECT 7, format('the publication %I sends its changes', p.pubname) FROM t JOIN pg_publication_tables p ON p.schemaname = t.nspname AND p.tablename = t.relname
  UNION ALL
  SELECT 8, 'it has extended statistics' FROM t WHERE EXISTS (SELECT FROM pg_statistic_ext WHERE stxrelid = t.oid)
  UNION ALL
  SELECT 9, 'it has security labels' FROM t WHERE EXISTS (SELECT FROM pg_seclabel WHERE objoid = t.oid AND classoid = 'pg_class'::regclass)
  UNION ALL
  SELECT 10, 'it is temporary or unlogged, or has a tablespace, an access method or a replica identity of its own' FROM t
    WHERE relpersistence <> 'p' OR reltablespace <> 0 OR relreplident <> 'd'
      OR relam <> (SELECT oid FROM pg_am WHERE amname = current_setting('default_table_access_method'))
  UNION ALL
  SELECT 11, format('its index %s is invalid, clustered or in a tablespace of its own', indexrelid::regclass)
    FROM pg_index JOIN pg_class i ON i.oid = indexrelid WHERE indrelid = $1 AND (NOT indisvalid OR indisclustered OR i.reltablespace <> 0)
  UNION ALL
  SELECT 12, format('the column %I has options or privileges of its own', attname) FROM pg_attribute
    WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped AND (attoptions IS NOT NULL OR attacl IS NOT NULL)
  UNION ALL
  SELECT 13, format('its identity sequence %s has privileges of its own', s.oid::regclass)
    FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
    WHERE d.classid = 'pg_class'::regclass AND d.refobjid = $1 AND d.deptype = 'i' AND s.relacl IS NOT NULL
  UNION ALL
  SELECT 14, 'another role owns it' FROM t WHERE NOT pg_has_role(relowner, 'USAGE')
  UNION ALL
  SELECT 15, 'this role may create nothing in its schema' FROM t WHERE NOT has_schema_privilege(relnamespace, 'CREATE')
  UNION ALL
  SELECT DISTINCT 16, format('%s depends on it', pg_describe_object(d.classid, d.objid, d.objsubid))
    FROM pg_depend d
    WHERE d.deptype = 'n' AND d.classid <> 'pg_rewrite'::regclass AND NOT (d.classid = 'pg_constraint'::regclass)
      AND NOT (d.classid = 'pg_class'::regclass AND d.objid IN (SELECT indexrelid FROM pg_index WHERE indrelid = $1))
      AND NOT (d.classid = 'pg_attrdef'::regclass AND d.objid IN (SELECT oid FROM pg_attrdef WHERE adrelid = $1))
      AND ((d.refclassid = 'pg_class'::regclass AND d.refobjid = $1) OR (d.refclassid = 'pg_type'::regclass AND d.refobjid = (SELECT reltype FROM t))
        OR (d.refclassid = 'pg_type'::regclass AND d.refobjid = (SELECT typarray FROM pg_type WHERE oid = (SELECT reltype FROM t))))
)
SELECT reason, EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND confrelid = $1 AND conrelid <> $1) AS referenced FROM reasons ORDER BY at, reason LIMIT 20`;

export async function dependentsOf(session: Session, oid: string): Promise<Dependents> {
  const rows = await session.query(query.replaceAll('$1', `'${Number(oid)}'::oid`));
  return { reasons: rows.map(({ reason }) => reason as string), referenced: rows[0]?.['referenced'] === 't' };
}
