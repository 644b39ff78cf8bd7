import {
  baseType,
  type Context,
  type RowSchema,
  type Selection,
  type SqlConnection,
  type SqlStatement,
  sameType,
  typeName,
} from '@millrace/core/runtime';
import type { Part } from './reading.ts';
import type { RowShape } from './row-digest.ts';

/** Rows and checksum of one side, whole and by range. */
export interface SideChecksum {
  readonly rows: number;
  readonly checksum: string;
  /** By the first byte of the key's hash: ranges that hold about as many rows each, whatever the key is made of. */
  readonly ranges: ReadonlyMap<string, string>;
}

/**
 * Checksums of both sides, computed by the databases themselves from the text of the values: no row travels. Null where a side
 * is no Postgres, or where SQL cannot put the source's values into the target's types. The sum over rows does not depend on
 * their order; two equal tables have equal sums, and two different ones do with a chance of 2^-64. `ranges`: of these only.
 * `between`: what is awaited after the source and before the target, which are asked at the same time else.
 */
export async function rangeChecksums(
  sides: { readonly source: Selection; readonly stored: Selection },
  shape: RowShape,
  part: Part,
  context: Context,
  { ranges = null, between }: { readonly ranges?: readonly string[] | null; readonly between?: () => Promise<void> } = {},
): Promise<SideChecksums | null> {
  const source = database(sides.source);
  const stored = database(sides.stored);
  const expressions = source && stored && rowTexts(shape, sides.source.schema);
  if (!source || !stored || !expressions) return null;
  const own = rowTexts(shape, { columns: shape.columns });
  if (!own) return null;
  const covered = part && 'below' in part ? part : null;
  const bound = covered && sides.source.schema.columns.find(({ name }) => name === covered.column);
  if (covered && !bound) return null;
  const limit = covered && bound ? { text: `${quoted(covered.column)} < $?::${typeName(bound.type)}`, value: covered.below } : null;
  const first = checksum(source, expressions, limit, ranges, context);
  if (between) {
    await first;
    await between();
  }
  const [expected, there] = await Promise.all([first, checksum(stored, own, null, ranges, context)]);
  return { expected, stored: there };
}

export interface SideChecksums {
  readonly expected: SideChecksum;
  readonly stored: SideChecksum;
}

/** The ranges in which the two are not the same. */
export function differingRanges({ expected, stored }: SideChecksums): string[] {
  const all = new Set([...expected.ranges.keys(), ...stored.ranges.keys()]);
  return [...all].filter((range) => expected.ranges.get(range) !== stored.ranges.get(range));
}

export function sameRanges(a: SideChecksum, b: SideChecksum): boolean {
  return a.rows === b.rows && a.ranges.size === b.ranges.size && [...a.ranges].every(([range, sum]) => b.ranges.get(range) === sum);
}

interface Database {
  readonly connection: SqlConnection;
  readonly query: SqlStatement;
}

function database({ connection, query }: Selection): Database | null {
  if (!connection || !query || !('dialect' in connection) || (connection as SqlConnection).dialect !== 'postgres') return null;
  return { connection: connection as SqlConnection, query };
}

interface RowText {
  readonly key: string;
  readonly row: string;
}

/** SQL for the texts of the key and of the row; null where a value would have to change its type in a way that SQL does not name. */
function rowTexts(shape: RowShape, from: RowSchema): RowText | null {
  const texts: string[] = [];
  for (const { name, type } of shape.columns) {
    const source = from.columns.find((column) => column.name === name);
    const named = ['enum', 'domain', 'other', 'array', 'range'].includes(baseType(type).kind) || type.kind === 'domain';
    if (source && !sameType(source.type, type) && named) return null;
    const value = !source ? 'null' : sameType(source.type, type) ? `${quoted(name)}::text` : `${quoted(name)}::${typeName(type)}::text`;
    texts.push(`coalesce(octet_length(${value}) || ':' || ${value}, '-')`);
  }
  const key = shape.key.map((place) => texts[place] as string);
  return key.length === 0 ? null : { key: key.join(' || '), row: texts.join(' || ') };
}

async function checksum(
  { connection, query }: Database,
  { key, row }: RowText,
  limit: { readonly text: string; readonly value: string } | null,
  ranges: readonly string[] | null,
  context: Context,
): Promise<SideChecksum> {
  const values = query.values.map((value) => (value === null ? null : String(value)));
  const where = limit ? ` where ${limit.text.replace('$?', () => `$${values.push(limit.value)}`)}` : '';
  const text = [
    'select left(md5(key), 2) as range, count(*)::text as rows,',
    "  sum(('x' || left(md5(row), 16))::bit(64)::bigint::numeric)::text as sum",
    `from (select ${key} as key, ${row} as row from (${query.text}) as rows${where}) as texts`,
    ...(ranges ? [`where left(md5(key), 2) = any($${values.push(`{${ranges.join(',')}}`)}::text[])`] : []),
    'group by 1',
  ].join('\n');
  const found = await connection.sql().query(text, values, context);
  return sideOf(new Map(found.map(({ range, rows, sum }) => [range ?? '', `${rows}:${sum}`])));
}

/** The whole of a side, from the rows and sums of its ranges. */
function sideOf(ranges: ReadonlyMap<string, string>): SideChecksum {
  let rows = 0;
  let sum = 0n;
  for (const range of ranges.values()) {
    const [count = '0', own = '0'] = range.split(':');
    rows += Number(count);
    sum += BigInt(own);
  }
  return { rows, checksum: BigInt.asUintN(64, sum).toString(16).padStart(16, '0'), ranges };
}

/** The side with some of its ranges as they are by now. */
export function withRanges(side: SideChecksum, names: readonly string[], now: SideChecksum): SideChecksum {
  const ranges = new Map(side.ranges);
  for (const name of names) {
    const range = now.ranges.get(name);
    if (range === undefined) ranges.delete(name);
    else ranges.set(name, range);
  }
  return sideOf(ranges);
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
