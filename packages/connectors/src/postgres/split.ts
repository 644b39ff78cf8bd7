import type { ReadRequest, Split } from '@millrace/core/runtime';
import type { Relation } from './catalog.ts';
import type { Session } from './client.ts';
import { quoteIdentifier, quoteName } from './identifier.ts';
import { literal } from './literal.ts';

/** A part of a split: a table without its children, or block `from` to before block `to` of it (null: to its end, however long). */
export interface Piece {
  readonly schema: string;
  readonly table: string;
  readonly blocks?: readonly [from: number, to: number | null];
}

/** How a split is found again; JSON. Neither of the two: everything there is. */
export interface SplitPlace {
  readonly pieces?: readonly Piece[];
  /** A range of a primary key, `[from, to)`; null where it is open. */
  readonly key?: { readonly column: string; readonly type: string; readonly from: string | null; readonly to: string | null };
}

export interface SplitRequest extends Pick<ReadRequest, 'splitBytes'> {
  readonly relation: Relation;
  /** Where the rows must be read in one piece. */
  readonly whole: boolean;
  /** Ranges of the primary key, which a later attempt can go on with; blocks belong to their snapshot. */
  readonly byKey: boolean;
  /** Rows and bytes that the planner expects of a narrow window; null where all rows are read. */
  readonly expected: Split['estimate'] | null;
}

/** A table with a million partitions is read in a few thousand pieces, not in a million. */
const mostSplits = 10_000;
/** TID range scans came with Postgres 14; before, each range would read the whole table. */
const tidRangeScans = 140_000;

/** In the snapshot's transaction. At least one split, also of an empty table. */
export async function planSplits(session: Session, request: SplitRequest): Promise<Split[]> {
  const { relation, whole, byKey, expected, splitBytes } = request;
  const tables = await storedTables(session, relation);
  const bytes = tables?.reduce((sum, table) => sum + table.bytes, 0) ?? expected?.bytes ?? null;
  const rows = tables?.reduce((sum, table) => sum + table.rows, 0) ?? expected?.rows ?? null;
  const one: Split[] = [{ id: id(0), estimate: expected ?? { rows, bytes }, where: {} }];
  if (whole || (expected && (expected.bytes ?? 0) <= splitBytes)) return one;
  const key = integerKey(relation);
  if (key && (byKey || tables === null)) return keySplits(session, relation, key, { rows, bytes }, splitBytes);
  if (tables === null || session.version < tidRangeScans) return one;
  return packed(tables, Math.max(splitBytes, (bytes ?? 0) / mostSplits));
}

const id = (number: number): string => `s${String(number).padStart(5, '0')}`;
const numbered = (places: readonly { readonly where: SplitPlace; readonly estimate: Split['estimate'] }[]): Split[] =>
  places.map(({ where, estimate }, number) => ({ id: id(number), estimate, where: { ...where } }));

interface StoredTable {
  readonly schema: string;
  readonly table: string;
  readonly heap: boolean;
  readonly blocks: number;
  /** With TOAST. */
  readonly bytes: number;
  readonly rows: number;
}

/**
 * The tables that hold the rows: partitions and inheriting tables, however deep. Null where rows cannot be read from them
 * directly: a view, no privilege on a partition, row-level security of the parent.
 */
async function storedTables(session: Session, relation: Relation): Promise<StoredTable[] | null> {
  if (!['table', 'partitioned', 'materialized'].includes(relation.kind) || relation.rowSecurity) return null;
  const rows = await session.query(
    `with recursive tree(oid) as (select $1::oid union select i.inhrelid from pg_inherits i join tree on i.inhparent = tree.oid)
     select c.oid::text, n.nspname as schema, c.relname as table, c.relkind in ('r', 'm') and a.amname = 'heap' as heap, greatest(c.reltuples, 0)::int8 as rows,
       case when c.relkind = 'f' then 0 else pg_relation_size(c.oid) / current_setting('block_size')::int8 end as blocks,
       case when c.relkind = 'f' then 0 else pg_table_size(c.oid) end as bytes,
       has_table_privilege(c.oid, 'select') and has_schema_privilege(n.oid, 'usage') and not row_security_active(c.oid) as readable
     from tree join pg_class c using (oid) join pg_namespace n on n.oid = c.relnamespace left join pg_am a on a.oid = c.relam
     where c.relkind <> 'p' order by n.nspname, c.relname`,
    [relation.oid],
  );
  // The table itself may be readable by a privilege on its columns alone; a partition needs one of its own.
  const isAlone = rows.length === 1 && rows[0]?.['oid'] === relation.oid;
  return isAlone || rows.every((row) => row['readable'] === 't') ? rows.map(stored) : null;
}

const stored = (row: Readonly<Record<string, string | null>>): StoredTable => ({
  schema: row['schema'] ?? '',
  table: row['table'] ?? '',
  heap: row['heap'] === 't',
  blocks: Number(row['blocks']),
  bytes: Number(row['bytes']),
  rows: Number(row['rows']),
});

/** Large tables are cut into ranges of blocks, small ones share a split. */
function packed(tables: readonly StoredTable[], splitBytes: number): Split[] {
  const places: { where: { pieces: Piece[] }; estimate: { rows: number; bytes: number } }[] = [];
  let open: (typeof places)[number] | undefined;
  for (const table of tables) {
    const { schema, table: name, blocks, bytes, rows } = table;
    const count = table.heap ? Math.max(1, Math.min(blocks, Math.ceil(bytes / splitBytes))) : 1;
    if (count === 1) {
      if (!open || open.estimate.bytes + bytes > splitBytes) {
        open = { where: { pieces: [] }, estimate: { rows: 0, bytes: 0 } };
        places.push(open);
      }
      open.where.pieces.push({ schema, table: name });
      open.estimate.rows += rows;
      open.estimate.bytes += bytes;
      continue;
    }
    for (let part = 0; part < count; part++) {
      const from = Math.floor((blocks * part) / count);
      const to = part === count - 1 ? null : Math.floor((blocks * (part + 1)) / count);
      places.push({
        where: { pieces: [{ schema, table: name, blocks: [from, to] }] },
        estimate: { rows: Math.round(rows / count), bytes: Math.round(bytes / count) },
      });
    }
  }
  return numbered(places.length > 0 ? places : [{ where: {}, estimate: { rows: 0, bytes: 0 } }]);
}

interface IntegerKey {
  readonly column: string;
  readonly type: string;
}

function integerKey({ primaryKey, columns }: Relation): IntegerKey | undefined {
  const [name, ...more] = primaryKey;
  const column = columns.find((candidate) => candidate.name === name);
  if (!column || more.length > 0) return undefined;
  return ['int2', 'int4', 'int8'].includes(column.type.kind) ? { column: column.name, type: column.type.kind } : undefined;
}

/** Ranges of equal row counts, where the statistics know them, else of equal width. */
async function keySplits(
  session: Session,
  relation: Relation,
  key: IntegerKey,
  estimate: Split['estimate'],
  splitBytes: number,
): Promise<Split[]> {
  const count = Math.max(1, Math.min(mostSplits, Math.ceil((estimate.bytes ?? 0) / splitBytes)));
  const bounds = count === 1 ? [] : await keyBounds(session, relation, key, count);
  const share = {
    rows: estimate.rows === null ? null : Math.round(estimate.rows / (bounds.length + 1)),
    bytes: estimate.bytes === null ? null : Math.round(estimate.bytes / (bounds.length + 1)),
  };
  return numbered([null, ...bounds].map((from, at) => ({ where: { key: { ...key, from, to: bounds[at] ?? null } }, estimate: share })));
}

async function keyBounds(session: Session, { schema, name }: Relation, { column, type }: IntegerKey, count: number): Promise<string[]> {
  const [statistics] = await session.query(
    `select histogram_bounds::text::${type}[] as bounds, array_length(histogram_bounds::text::${type}[], 1) as length from pg_stats
     where schemaname = $1 and tablename = $2 and attname = $3 and histogram_bounds is not null order by inherited desc limit 1`,
    [schema, name, column],
  );
  const known = (statistics?.['bounds'] ?? '{}')
    .slice(1, -1)
    .split(',')
    .filter((bound) => bound !== '')
    .map(BigInt);
  const wanted = known.length > count ? known : await ends(session, quoteName({ schema, name }), column, count);
  const bounds = Array.from({ length: count - 1 }, (_, at) => wanted[Math.round(((at + 1) * (wanted.length - 1)) / count)] ?? 0n);
  return [...new Set(bounds)].sort((a, b) => (a < b ? -1 : 1)).map(String);
}

async function ends(session: Session, table: string, column: string, count: number): Promise<bigint[]> {
  const name = quoteIdentifier(column);
  const [row] = await session.query(`SELECT min(${name}) AS low, max(${name}) AS high FROM ${table}`);
  if (!row?.['low'] || !row['high']) return [];
  const [low, high] = [BigInt(row['low']), BigInt(row['high'])];
  return Array.from({ length: count + 1 }, (_, at) => low + ((high - low) * BigInt(at)) / BigInt(count));
}

/** FROM items and conditions that make the rows of a split, to be joined by UNION ALL. */
export function sourcesOf(place: SplitPlace, everything: string): { readonly from: string; readonly where: readonly string[] }[] {
  if (place.pieces) {
    return place.pieces.map(({ schema, table, blocks }) => ({
      from: `ONLY ${quoteName({ schema, name: table })}`,
      where: blocks
        ? [...(blocks[0] > 0 ? [`ctid >= '(${blocks[0]},0)'::tid`] : []), ...(blocks[1] === null ? [] : [`ctid < '(${blocks[1]},0)'::tid`])]
        : [],
    }));
  }
  if (!place.key) return [{ from: everything, where: [] }];
  const { column, type, from, to } = place.key;
  const name = quoteIdentifier(column);
  const where = [
    ...(from === null ? [] : [`${name} >= ${literal(from)}::${type}`]),
    ...(to === null ? [] : [`${name} < ${literal(to)}::${type}`]),
  ];
  return [{ from: everything, where }];
}
