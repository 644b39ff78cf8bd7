import type { Session } from '../client.ts';
import { keyOf, type ObjectKind, type SqlObject } from './object.ts';

/** An object as it is now, with the address by which `pg_depend` knows it. */
export interface FoundObject extends SqlObject {
  readonly address: string;
}

const typeDefinition = `concat_ws(' ', t.typtype, CASE WHEN t.typtype = 'd' THEN concat_ws(' ', format_type(t.typbasetype, t.typtypmod), t.typnotnull, t.typdefault) END,
  (SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid),
  (SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod)), ',' ORDER BY a.attnum) FROM pg_attribute a
   WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped),
  (SELECT string_agg(pg_get_constraintdef(k.oid), ',' ORDER BY k.conname) FROM pg_constraint k WHERE k.contypid = t.oid))`;

/**
 * Every object that files are watched for. Its mark is where its rows lie in the catalog and who wrote them: it changes when the object is
 * made or replaced. A view's is that of its rule, which no GRANT touches.
 */
const objects = `
  SELECT 'pg_class'::regclass::oid AS class, c.oid, n.nspname AS schema, c.relname AS name,
    CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'index' END AS kind,
    CASE WHEN c.relkind IN ('v', 'm') THEN (SELECT string_agg(concat_ws(',', w.ctid, w.xmin, w.cmin), ';' ORDER BY w.oid) FROM pg_rewrite w WHERE w.ev_class = c.oid) ELSE '' END AS mark,
    CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) ELSE pg_get_indexdef(c.oid) END AS definition
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('v', 'm', 'i', 'I') AND c.relpersistence <> 't' AND NOT c.relispartition
    AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))
  UNION ALL
  SELECT 'pg_proc'::regclass, p.oid, n.nspname, p.proname, CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END,
    concat_ws(',', p.ctid, p.xmin, p.cmin), CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
  UNION ALL
  SELECT 'pg_type'::regclass, t.oid, n.nspname, t.typname, 'type',
    concat_ws(',', t.ctid, t.xmin, t.cmin, (SELECT string_agg(concat_ws(',', e.ctid, e.xmin), ';' ORDER BY e.oid) FROM pg_enum e WHERE e.enumtypid = t.oid)), ${typeDefinition}
  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
  WHERE t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND (SELECT relkind FROM pg_class WHERE oid = t.typrelid) = 'c'
  UNION ALL
  SELECT 'pg_trigger'::regclass, g.oid, n.nspname, g.tgname, 'trigger', concat_ws(',', g.ctid, g.xmin, g.cmin), pg_get_triggerdef(g.oid)
  FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE NOT g.tgisinternal AND g.tgparentid = 0`;

const users = `o.schema NOT IN ('_millrace', 'pg_catalog', 'information_schema', 'pg_toast')`;

/** What an extension has brought belongs to it. In the order in which they were made. */
const described = (condition: string): string => `
  SELECT o.class || ' ' || o.oid AS address, o.schema, o.name, o.kind, md5(o.definition) AS definition, i.identity
  FROM (${objects}) AS o CROSS JOIN LATERAL pg_identify_object(o.class, o.oid, 0) AS i
  WHERE ${users} AND ${condition} AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype = 'e')
  ORDER BY o.oid`;

/** Of every object, by address. Two looks tell what was made or replaced in between. */
export async function marks(session: Session): Promise<ReadonlyMap<string, string>> {
  const rows = await session.query(`SELECT o.class || ' ' || o.oid AS address, o.mark FROM (${objects}) AS o WHERE ${users}`);
  return new Map(rows.map((row) => [row['address'] as string, row['mark'] ?? '']));
}

export const atAddresses = async (addresses: readonly string[], session: Session): Promise<FoundObject[]> =>
  addresses.length === 0
    ? []
    : all(session, described(`o.class || ' ' || o.oid = ANY ($1::text[])`), `{${addresses.map((address) => `"${address}"`).join(',')}}`);

/** Those of the objects that are there, by key. */
export async function lookUp(
  wanted: readonly Pick<SqlObject, 'kind' | 'schema' | 'name' | 'identity'>[],
  session: Session,
): Promise<ReadonlyMap<string, FoundObject>> {
  if (wanted.length === 0) return new Map();
  const keys = new Set(wanted.map(keyOf));
  const names = JSON.stringify(wanted.map(({ kind, schema, name }) => ({ kind, schema, name })));
  const found = await all(
    session,
    described(
      `(o.kind, o.schema, o.name) IN (SELECT w.kind, w.schema, w.name FROM jsonb_to_recordset($1::jsonb) AS w(kind text, schema text, name text))`,
    ),
    names,
  );
  return new Map(found.filter((one) => keys.has(keyOf(one))).map((one) => [keyOf(one), one]));
}

async function all(session: Session, text: string, value: string): Promise<FoundObject[]> {
  const rows = await session.query(text, [value]);
  return rows.map((row) => ({
    kind: row['kind'] as ObjectKind,
    schema: row['schema'] as string,
    name: row['name'] as string,
    identity: row['identity'] as string,
    definition: row['definition'] ?? null,
    address: row['address'] as string,
  }));
}
