import type { ReadRequest, Split } from '@millrace/core/runtime';
import type { CatalogColumn, Relation } from './catalog.ts';
import { quoteIdentifier, quoteName } from './identifier.ts';
import { boundSql, type KeyForm, type KeySpace, keyForm, keySpace, risesAtServer } from './key-space.ts';
import type { Session } from './session.ts';

/** How a split is found again; JSON. Without a key: everything there is. */
export interface SplitPlace {
  /** A range of the first column of the primary key, `[from, to)`; null where it is open. */
  readonly key?: { readonly column: string; readonly form: KeyForm; readonly from: string | null; readonly to: string | null };
}

export interface SplitRequest extends Pick<ReadRequest, 'splitBytes'> {
  readonly relation: Relation;
  /** Where the rows must be read in one piece. */
  readonly whole: boolean;
  /** Rows and bytes that the optimizer expects of a narrow window; null where all rows are read. */
  readonly expected: Split['estimate'] | null;
}

const mostSplits = 1_000;
/** A range with this many times the rows that a split is to have is cut once more. */
const tooLarge = 1.5;
/** Looks at the index for each split that is wanted: keys that lie in lumps are cut a few times in vain. */
const looksEach = 8;

/** Ranges of the primary key that together hold every row there may be. At least one, also of an empty table. */
export async function planSplits(session: Session, { relation, whole, expected, splitBytes }: SplitRequest): Promise<Split[]> {
  const { rows, bytes } = expected ?? relation;
  const one: Split[] = [{ id: id(0), estimate: expected ?? { rows, bytes }, where: {} }];
  const key = firstOfKey(relation);
  if (whole || key === null || relation.kind !== 'table' || (bytes ?? 0) <= splitBytes) return one;
  const wanted = Math.min(mostSplits, Math.ceil((bytes ?? 0) / splitBytes));
  const rowsEach = Math.max(1, relation.rows / Math.ceil(relation.bytes / splitBytes));
  const space = await keySpace(session, quoteName(relation), key);
  const bounds = space ? await cut(session, quoteName(relation), key, space, rowsEach, wanted) : [];
  if (!space || !(await risesAtServer(session, key, space.form, bounds))) return one;
  const share = (total: number | null): number | null => (total === null ? null : Math.round(total / (bounds.length + 1)));
  return [null, ...bounds].map((from, at) => ({
    id: id(at),
    estimate: { rows: share(rows), bytes: share(bytes) },
    where: { key: { column: key.name, form: space.form, from, to: bounds[at] ?? null } },
  }));
}

const id = (number: number): string => `s${String(number).padStart(5, '0')}`;

function firstOfKey({ primaryKey: [first], columns }: Relation): CatalogColumn | null {
  const column = columns.find(({ name }) => name === first);
  return column && keyForm(column) ? column : null;
}

/**
 * Where to cut so that each range has about `rowsEach` rows: the largest range is halved as long as the optimizer, who looks into the
 * index for it, expects too much of it. No row is read, however many there are.
 */
async function cut(
  session: Session,
  table: string,
  key: CatalogColumn,
  { form, low: least, high: beyond, bound }: KeySpace,
  rowsEach: number,
  most: number,
): Promise<string[]> {
  const name = quoteIdentifier(key.name);
  const ranges: Range[] = [{ low: least, high: beyond, rows: Number.POSITIVE_INFINITY }];
  // MySQL 9 explains in trees, unless it is asked for a table; MariaDB has no other form and no word for it. MySQL does not
  // look into an index that it is told to use, unless it has to count.
  const explain = session.server.flavour === 'mysql' ? 'EXPLAIN FORMAT=TRADITIONAL' : 'EXPLAIN';
  const rowsOf = async (low: bigint, high: bigint): Promise<number> => {
    const where = `${name} >= ${boundSql(form, bound(low))} AND ${name} < ${boundSql(form, bound(high))}`;
    const plan = await session.query(`${explain} SELECT COUNT(*) FROM ${table} FORCE INDEX (PRIMARY) WHERE ${where}`, table);
    return Math.max(...plan.map((row) => Number(row['rows'] ?? 0)), 0);
  };
  for (let looks = most * looksEach; looks > 0; looks--) {
    const largest = ranges.reduce((one, other) => (other.rows > one.rows ? other : one));
    if (ranges.length >= most || largest.rows <= rowsEach * tooLarge || largest.high - largest.low < 2n) break;
    const middle = largest.low + (largest.high - largest.low) / 2n;
    const halves = await Promise.all(
      [[largest.low, middle] as const, [middle, largest.high] as const].map(async ([low, high]) => ({
        low,
        high,
        rows: await rowsOf(low, high),
      })),
    );
    ranges.splice(ranges.indexOf(largest), 1, ...halves);
  }
  return merged(ranges, rowsEach)
    .map(({ low }) => bound(low))
    .slice(1);
}

interface Range {
  readonly low: bigint;
  readonly high: bigint;
  readonly rows: number;
}

/** Neighbours that together are not too large share a split: gaps of the key have made them small. */
function merged(ranges: readonly Range[], rowsEach: number): Range[] {
  const kept: Range[] = [];
  for (const range of ranges) {
    const last = kept.at(-1);
    if (last && last.rows + range.rows <= rowsEach)
      kept[kept.length - 1] = { low: last.low, high: range.high, rows: last.rows + range.rows };
    else kept.push(range);
  }
  return kept;
}

/** Conditions that make the rows of a split. */
export function conditionsOf({ key }: SplitPlace): string[] {
  if (!key) return [];
  const name = quoteIdentifier(key.column);
  return [
    ...(key.from === null ? [] : [`${name} >= ${boundSql(key.form, key.from)}`]),
    ...(key.to === null ? [] : [`${name} < ${boundSql(key.form, key.to)}`]),
  ];
}
