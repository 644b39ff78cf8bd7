import { baseType, type ColumnType, type Split } from '@millrace/core/runtime';
import type { ProductName } from './product.ts';
import type { Fragment } from './select-sql.ts';
import type { AnswerColumn, FoundTable, JdbcSession } from './session.ts';
import { sourceType } from './types.ts';

/** How a split is found again; JSON. Without a key: everything there is. */
export interface SplitPlace {
  /** A range of the primary key, `[from, to)`; null where it is open. `nulls`: with the rows whose key is NULL, which SQLite allows. */
  readonly key?: { readonly column: string; readonly from: string | null; readonly to: string | null; readonly nulls?: true };
}

const mostSplits = 10_000;

/**
 * Ranges of the primary key, where that is one whole number: of equal width between its ends. At least one split, also of an empty table.
 * Rows are counted by the statistics where there are some, else by COUNT(*).
 */
export async function planSplits(
  session: JdbcSession,
  table: FoundTable | null,
  product: ProductName,
  splitBytes: number,
  quote: (name: string) => string,
): Promise<Split[]> {
  const key = table && wholeKey(table, product);
  if (!table || !key) return [one({ rows: table?.rows ?? null, bytes: table?.rows == null ? null : table.rows * width(table, product) })];
  const rows = table.rows ?? Number((await session.query(`SELECT COUNT(*) FROM ${table.quoted}`, [], table.name)).rows[0]?.[0] ?? 0);
  const bytes = rows * width(table, product);
  const wanted = Math.min(mostSplits, Math.ceil(bytes / splitBytes));
  if (wanted <= 1) return [one({ rows, bytes })];
  const bounds = await boundsOf(session, table, quote(key.name), wanted);
  const share = { rows: Math.round(rows / (bounds.length + 1)), bytes: Math.round(bytes / (bounds.length + 1)) };
  return [null, ...bounds].map((from, at) => ({
    id: `s${String(at).padStart(5, '0')}`,
    estimate: share,
    where: { key: { column: key.name, from, to: bounds[at] ?? null, ...(at === 0 && key.nullable !== 'no' && { nulls: true }) } },
  }));
}

const one = (estimate: Split['estimate']): Split => ({ id: 's00000', estimate, where: {} });

function wholeKey({ primaryKey, columns }: FoundTable, product: ProductName): AnswerColumn | undefined {
  const [name, ...more] = primaryKey;
  const column = columns.find((candidate) => candidate.name === name);
  return column && more.length === 0 && isWhole(sourceType(product, column).type) ? column : undefined;
}

/** Oracle's keys are NUMBER(p). */
function isWhole(type: ColumnType): boolean {
  const base = baseType(type);
  return (
    ['int2', 'int4', 'int8'].includes(base.kind) || (base.kind === 'numeric' && base.precision !== undefined && (base.scale ?? 0) === 0)
  );
}

async function boundsOf(session: JdbcSession, { quoted, name }: FoundTable, key: string, count: number): Promise<string[]> {
  const { rows } = await session.query(`SELECT MIN(${key}), MAX(${key}) FROM ${quoted}`, [], name);
  const [low, high] = rows[0] ?? [];
  if (!low || !high || !/^-?\d+$/.test(low) || !/^-?\d+$/.test(high)) return [];
  const [first, last] = [BigInt(low), BigInt(high)];
  const bounds = Array.from({ length: count - 1 }, (_, at) => first + ((last - first + 1n) * BigInt(at + 1)) / BigInt(count));
  return [...new Set(bounds.map(String))].filter((bound) => bound !== String(first));
}

/** Bytes of a row, by its types: nobody says how long the values really are. */
function width({ columns }: FoundTable, product: ProductName): number {
  return columns.reduce((sum, column) => {
    const base = baseType(sourceType(product, column).type);
    if (base.kind === 'varchar' || base.kind === 'char') return sum + Math.min(base.length ?? 64, 64);
    return sum + (base.kind === 'text' || base.kind === 'bytea' || base.kind === 'json' || base.kind === 'jsonb' ? 128 : 8);
  }, 8);
}

export function splitConditions({ key }: SplitPlace, quote: (name: string) => string): Fragment[] {
  if (!key) return [];
  const name = quote(key.column);
  const bound = (comparison: string, value: string | null): Fragment[] =>
    value === null ? [] : [{ sql: `${name} ${comparison} ?`, parameters: [{ kind: value.length < 19 ? 'long' : 'decimal', value }] }];
  const range = [...bound('>=', key.from), ...bound('<', key.to)];
  return key.nulls ? range.map(({ sql, parameters }) => ({ sql: `${sql} OR ${name} IS NULL`, parameters })) : range;
}
