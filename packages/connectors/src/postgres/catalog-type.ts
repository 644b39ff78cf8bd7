import type { ColumnType, SimpleKind } from '@millrace/core/runtime';
import type { Session } from './client.ts';

/** A type as `pg_type` has it, with what is needed to follow domains and arrays down to built-in types. */
export interface CatalogType {
  readonly oid: string;
  readonly name: string;
  /** As SQL writes it, quoted where needed; without a schema for `pg_catalog` and `public`. */
  readonly sql: string;
  readonly builtIn: boolean;
  readonly kind: 'base' | 'composite' | 'domain' | 'enum' | 'range' | 'multirange' | 'pseudo';
  /** The element of a true array type, else null (`int2vector` has elements and is none). */
  readonly element: string | null;
  readonly base: string | null;
  readonly baseModifier: number;
  readonly labels: readonly string[];
}

export type CatalogTypes = ReadonlyMap<string, CatalogType>;

/** The types with these OIDs, and those they are made of. */
export async function readTypes(session: Session, oids: readonly string[]): Promise<CatalogTypes> {
  const rows = await session.query(
    `with recursive wanted(oid) as (
       select unnest($1::oid[])
       union
       select case t.typtype when 'd' then t.typbasetype else t.typelem end
       from wanted join pg_type t using (oid)
       where t.typtype = 'd' or t.typelem <> 0
     )
     select t.oid::text, t.typname as name, n.nspname = 'pg_catalog' as built_in, t.typtype as kind, t.typtypmod as base_modifier,
       case when n.nspname in ('pg_catalog', 'public') then quote_ident(t.typname) else quote_ident(n.nspname) || '.' || quote_ident(t.typname) end as sql,
       case when e.typarray = t.oid then e.oid::text end as element,
       case when t.typtype = 'd' then t.typbasetype::text end as base,
       (select json_agg(l.enumlabel order by l.enumsortorder) from pg_enum l where l.enumtypid = t.oid) as labels
     from wanted join pg_type t using (oid) join pg_namespace n on n.oid = t.typnamespace left join pg_type e on e.oid = t.typelem`,
    [`{${oids.join(',')}}`],
  );
  return new Map(
    rows.map((row) => [
      row['oid'] ?? '',
      {
        oid: row['oid'] ?? '',
        name: row['name'] ?? '',
        sql: row['sql'] ?? '',
        builtIn: row['built_in'] === 't',
        kind: kinds[row['kind'] ?? ''] ?? 'base',
        element: row['element'] ?? null,
        base: row['base'] ?? null,
        baseModifier: Number(row['base_modifier']),
        labels: row['labels'] ? (JSON.parse(row['labels']) as string[]) : [],
      },
    ]),
  );
}

const kinds: Readonly<Record<string, CatalogType['kind']>> = {
  b: 'base',
  c: 'composite',
  d: 'domain',
  e: 'enum',
  r: 'range',
  m: 'multirange',
  p: 'pseudo',
};

const simple: Readonly<Record<string, SimpleKind>> = {
  bool: 'bool',
  int2: 'int2',
  int4: 'int4',
  int8: 'int8',
  float4: 'float4',
  float8: 'float8',
  text: 'text',
  bytea: 'bytea',
  date: 'date',
  uuid: 'uuid',
  json: 'json',
  jsonb: 'jsonb',
  inet: 'inet',
  cidr: 'cidr',
  macaddr: 'macaddr',
  macaddr8: 'macaddr8',
};

/**
 * A type of the catalog as a column type. `printed` is what `format_type` says; it names types that Millrace knows nothing about.
 * `modifier` is `atttypmod`; -1 for none.
 */
export function columnType(types: CatalogTypes, oid: string, modifier: number, printed: string): ColumnType {
  const type = types.get(oid);
  if (!type) return { kind: 'other', name: printed };
  if (type.kind === 'enum') return { kind: 'enum', name: type.sql, labels: type.labels };
  if (type.kind === 'range' || type.kind === 'multirange') return { kind: 'range', name: type.sql };
  if (type.kind === 'domain' && type.base)
    return { kind: 'domain', name: type.sql, of: columnType(types, type.base, type.baseModifier, printedBase(types, type.base)) };
  if (type.element) return { kind: 'array', of: columnType(types, type.element, modifier, printedElement(types, type.element, printed)) };
  if (type.builtIn) return builtIn(type.name, modifier) ?? { kind: 'other', name: printed };
  return { kind: 'other', name: printed };
}

/** What is printed of an array names its elements, with their modifiers; its name in the catalog does not. */
const printedElement = (types: CatalogTypes, oid: string, printed: string): string =>
  printed.endsWith('[]') ? printed.replace(/(\[\])+$/, '') : (types.get(oid)?.sql ?? printed);

const printedBase = (types: CatalogTypes, oid: string): string => types.get(oid)?.sql ?? '';

/** Modifiers are packed by each type's own rules: `numerictypmodin`, `anychar_typmodin` and the like in src/backend/utils/adt. */
function builtIn(name: string, modifier: number): ColumnType | undefined {
  const plain = simple[name];
  if (plain) return { kind: plain };
  switch (name) {
    case 'numeric':
      if (modifier < 4) return { kind: 'numeric' };
      // The scale has 11 bits and, from Postgres 15 on, a sign.
      return { kind: 'numeric', precision: ((modifier - 4) >> 16) & 0xffff, scale: (((modifier - 4) & 0x7ff) ^ 1024) - 1024 };
    case 'varchar':
      return modifier < 4 ? { kind: 'varchar' } : { kind: 'varchar', length: modifier - 4 };
    case 'bpchar':
      return modifier < 4 ? undefined : { kind: 'char', length: modifier - 4 };
    case 'bit':
      return modifier < 0 ? { kind: 'varbit' } : { kind: 'bit', length: modifier };
    case 'varbit':
      return modifier < 0 ? { kind: 'varbit' } : { kind: 'varbit', length: modifier };
    case 'time':
    case 'timetz':
    case 'timestamp':
    case 'timestamptz':
      return modifier < 0 ? { kind: name } : { kind: name, precision: modifier };
    case 'interval':
      return { kind: 'interval' };
    default:
      return undefined;
  }
}
