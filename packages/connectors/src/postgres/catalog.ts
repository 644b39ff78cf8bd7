import { type ColumnType, MillraceError } from '@millrace/core/runtime';
import { columnType, readTypes } from './catalog-type.ts';
import type { Session } from './client.ts';
import { parseName, type QualifiedName, quoteName, showName } from './identifier.ts';

/** A table, view or the like as the database has it now. */
export interface Relation {
  readonly oid: string;
  readonly schema: string;
  readonly name: string;
  readonly kind: 'table' | 'partitioned' | 'view' | 'materialized' | 'foreign' | 'sequence' | 'other';
  /** The table access method: `heap`, or what an extension brings; null where rows are not stored here. */
  readonly accessMethod: string | null;
  /** Row-level security stands between this user and the rows. */
  readonly rowSecurity: boolean;
  readonly columns: readonly CatalogColumn[];
  /** Columns of the primary key, in its order; empty where there is none. */
  readonly primaryKey: readonly string[];
}

export interface CatalogColumn {
  readonly name: string;
  readonly type: ColumnType;
  /** As `format_type` prints it, modifiers included. */
  readonly sqlType: string;
  readonly notNull: boolean;
  readonly hasDefault: boolean;
  /** Computed by the database: nothing can be written to it. */
  readonly generated: boolean;
  readonly identity: boolean;
}

const kinds: Readonly<Record<string, Relation['kind']>> = {
  r: 'table',
  p: 'partitioned',
  v: 'view',
  m: 'materialized',
  f: 'foreign',
  S: 'sequence',
};

/** @throws TABLE_MISSING, IDENTIFIER_INVALID */
export async function readRelation(session: Session, name: string | QualifiedName): Promise<Relation> {
  const relation = await findRelation(session, name);
  if (relation) return relation;
  const shown = typeof name === 'string' ? name : showName(name);
  throw new MillraceError('TABLE_MISSING', {
    message: `${session.place.label}: there is no table or view "${shown}" that user "${session.place.user ?? ''}" can see.`,
    remedy: `Check the name and its schema (letters keep their case here), and that the user has USAGE on the schema. "millrace introspect" lists the tables there are.`,
    facts: { object: shown },
  });
}

export async function findRelation(session: Session, name: string | QualifiedName): Promise<Relation | null> {
  const parsed = typeof name === 'string' ? parseName(name) : name;
  const [row] = await session.query(
    `select c.oid::text, n.nspname as schema, c.relname as name, c.relkind as kind, a.amname as access_method,
       row_security_active(c.oid) as row_security,
       (select json_agg(k.attname order by o.place) from pg_index i cross join unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) with ordinality o(number, place)
        join pg_attribute k on k.attrelid = i.indrelid and k.attnum = o.number where i.indrelid = c.oid and i.indisprimary) as primary_key
     from pg_class c join pg_namespace n on n.oid = c.relnamespace left join pg_am a on a.oid = c.relam
     where c.oid = to_regclass($1) and c.relkind = any('{r,p,v,m,f,S}')`,
    [quoteName(parsed)],
    typeof name === 'string' ? name : showName(name),
  );
  if (!row) return null;
  return {
    oid: row['oid'] ?? '',
    schema: row['schema'] ?? '',
    name: row['name'] ?? '',
    kind: kinds[row['kind'] ?? ''] ?? 'other',
    accessMethod: row['access_method'] ?? null,
    rowSecurity: row['row_security'] === 't',
    columns: await readColumns(session, row['oid'] ?? ''),
    primaryKey: row['primary_key'] ? (JSON.parse(row['primary_key']) as string[]) : [],
  };
}

async function readColumns(session: Session, relation: string): Promise<CatalogColumn[]> {
  const rows = await session.query(
    `select a.attname as name, a.atttypid::text as type, a.atttypmod as modifier, format_type(a.atttypid, a.atttypmod) as printed, a.attnotnull as not_null,
       a.atthasdef as has_default, a.attgenerated <> '' as generated, a.attidentity <> '' as identity
     from pg_attribute a where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped order by a.attnum`,
    [relation],
  );
  const types = await readTypes(session, [...new Set(rows.map((row) => row['type'] ?? ''))]);
  return rows.map((row) => ({
    name: row['name'] ?? '',
    type: columnType(types, row['type'] ?? '', Number(row['modifier']), row['printed'] ?? ''),
    sqlType: row['printed'] ?? '',
    notNull: row['not_null'] === 't',
    hasDefault: row['has_default'] === 't',
    generated: row['generated'] === 't',
    identity: row['identity'] === 't',
  }));
}

/** The columns that a SELECT answers with. Whether they may be NULL is not known of a query. */
export async function readQuery(session: Session, select: string, object: string): Promise<CatalogColumn[]> {
  const fields = await session.fields(`select * from (${select}\n) as q limit 0`, object);
  const oids = [...new Set(fields.map(({ type }) => type))];
  const types = await readTypes(session, oids);
  const printed = await session.query(
    `select format_type(t.oid, t.modifier) as printed from unnest($1::oid[], $2::int4[]) with ordinality t(oid, modifier, place) order by place`,
    [`{${fields.map(({ type }) => type).join(',')}}`, `{${fields.map(({ modifier }) => modifier).join(',')}}`],
  );
  return fields.map(({ name, type, modifier }, index) => {
    const sqlType = printed[index]?.['printed'] ?? '';
    return {
      name,
      type: columnType(types, type, modifier, sqlType),
      sqlType,
      notNull: false,
      hasDefault: false,
      generated: false,
      identity: false,
    };
  });
}
