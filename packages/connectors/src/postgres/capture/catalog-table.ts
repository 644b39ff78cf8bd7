import { MillraceError } from '@millrace/core/runtime';
import { columnType, readTypes } from '../catalog-type.ts';
import type { Session } from '../client.ts';
import { parseName, quoteName, showName } from '../identifier.ts';
import type { Fill, SourceColumn } from './stream-columns.ts';

/** A captured table as the catalog has it now. */
export interface CatalogTable {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly isPartitioned: boolean;
  readonly columns: readonly CatalogTableColumn[];
}

export interface CatalogTableColumn extends SourceColumn {
  /** The type has a binary form at the server, so it comes in it where the stream is binary. */
  readonly canSend: boolean;
  readonly generated: boolean;
  /** Computed when it is read, and stored nowhere. */
  readonly virtual: boolean;
}

/** @throws TABLE_MISSING */
export async function readCatalogTable(session: Session, name: string): Promise<CatalogTable> {
  const [row] = await session.query(
    `select c.oid, n.nspname as schema, c.relname as name, c.relkind as kind from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.oid = to_regclass($1) and c.relkind = any('{r,p}')`,
    [quoteName(parseName(name))],
    name,
  );
  if (!row) {
    throw new MillraceError('TABLE_MISSING', {
      message: `${session.place.label}: there is no table "${name}" that user "${session.place.user ?? ''}" can see; only tables have changes to capture.`,
      remedy: 'Check the name and its schema (letters keep their case here), and that the user has USAGE on the schema.',
      facts: { object: name },
    });
  }
  return {
    oid: Number(row['oid']),
    schema: row['schema'] ?? '',
    name: row['name'] ?? '',
    isPartitioned: row['kind'] === 'p',
    columns: await readCatalogColumns(session, Number(row['oid'])),
  };
}

export async function readCatalogColumns(session: Session, oid: number): Promise<CatalogTableColumn[]> {
  const rows = await session.query(
    `with recursive ${partitionsOf('$1::oid')}
     select a.attnum as number, a.attname as name, a.atttypid::text as type, a.atttypmod as modifier,
       format_type(a.atttypid, a.atttypmod) as printed, a.attnotnull as not_null, t.typsend <> 0 as can_send, a.attgenerated <> '' as generated, a.attgenerated = 'v' as virtual,
       a.atthasdef or a.attidentity <> '' as has_default, f.has_fill, f.fill
     from pg_class c join pg_attribute a on a.attrelid = c.oid join pg_type t on t.oid = a.atttypid cross join ${fillOfColumn} f
     where c.oid = $1::oid and a.attnum > 0 and not a.attisdropped order by a.attnum`,
    [oid],
  );
  const types = await readTypes(session, [...new Set(rows.map((row) => row['type'] ?? ''))]);
  return rows.map((row) => ({
    number: Number(row['number']),
    name: row['name'] ?? '',
    type: columnType(types, row['type'] ?? '', Number(row['modifier']), row['printed'] ?? ''),
    typeOid: Number(row['type']),
    modifier: Number(row['modifier']),
    notNull: row['not_null'] === 't',
    fill: fillOf({ hasDefault: row['has_default'] === 't', hasFill: row['has_fill'] === 't', fill: row['fill'] ?? null }),
    canSend: row['can_send'] === 't',
    generated: row['generated'] === 't',
    virtual: row['virtual'] === 't',
  }));
}

/** Common tables for `fillOfColumn`: the partitions of a table that have rows of their own. Takes no locks, which `pg_partition_tree` would. */
export const partitionsOf = (oid: string): string =>
  `tree (relid) as (select ${oid} union all select i.inhrelid from pg_inherits i join tree on i.inhparent = tree.relid),
   leaves as (select l.oid as relid, l.relkind from tree join pg_class l on l.oid = tree.relid where l.relkind <> 'p')`;

/**
 * What rows that were there before column `a` of table `c` have in it. A partitioned table has no rows of its own: its partitions have all to remember
 * the same, as they do after an ALTER TABLE of the root; before it has partitions, there are no rows.
 */
export const fillOfColumn = `lateral (
       select case when c.relkind <> 'p' then a.atthasmissing
           else count(*) = 0 or bool_and(p.relkind = 'r' and b.atthasmissing) and count(distinct b.attmissingval::text) = 1 end as has_fill,
         case when c.relkind = 'p' then min((b.attmissingval::text::text[])[1]) else (a.attmissingval::text::text[])[1] end as fill
       from leaves p join pg_attribute b on b.attrelid = p.relid and b.attname = a.attname and not b.attisdropped
       where c.relkind = 'p' and a.atthasdef
     )`;

/** The server remembers a constant for the rows that were there; where it has a default and no such constant, it has written each row. */
export function fillOf({
  hasDefault,
  hasFill,
  fill,
}: {
  readonly hasDefault: boolean;
  readonly hasFill: boolean;
  readonly fill: string | null;
}): Fill {
  return hasFill ? { kind: 'constant', value: fill } : hasDefault ? { kind: 'computed' } : { kind: 'constant', value: null };
}

export const showTable = ({ schema, name }: Pick<CatalogTable, 'schema' | 'name'>): string => showName({ schema, name });

/** Columns that the database computes come in the stream from 18 on, where they are stored. Null where all is well. */
export function generatedProblem(
  version: number,
  table: CatalogTable,
  declared: readonly string[],
): { readonly message: string; readonly remedy: string } | null {
  const left = table.columns.filter(
    ({ name, generated, virtual }) => generated && (virtual || version < 180_000) && declared.includes(name),
  );
  if (left.length === 0) return null;
  return {
    message: `the stream does not bring generated columns of ${showTable(table)} (${left.map(({ name }) => name).join(', ')}): stored ones come from PostgreSQL 18 on, virtual ones never`,
    remedy: 'Leave them out of the declaration; the target can compute them itself.',
  };
}
