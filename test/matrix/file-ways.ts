import { type FileConnection, s3 } from '@millrace/connectors/s3';
import { type Column, extract, load } from '@millrace/core';
import { baseType, type Target } from '@millrace/core/runtime';
import { duckType } from '../../packages/connectors/src/duckdb/types.ts';
import { arraysFromOne, intoTable, madeAnew, type Refusals, type Rows, rowsOf, runs, type Way } from './table-ways.ts';

type Format = 'parquet' | 'csv' | 'jsonl';

/** Into files by one pipeline stage and out of them by another; functions may stand before and behind. */
const throughFiles = (
  name: string,
  format: Format,
  lanes: readonly [string, string],
  refuses: Refusals,
  functions: { readonly before?: typeof madeAnew; readonly behind?: typeof madeAnew } = {},
): Way => ({
  name,
  refuses,
  async run(database, { source, target }, directory) {
    const lake: FileConnection = s3({ url: `file:${directory}` });
    const prefix = `${format}/`;
    const rows = rowsOf(database, source);
    const changed = functions.before?.(rows, source) ?? rows;
    const written = lake[format] as (options: { prefix: string; mode: 'replace' }) => Target<never, 'rows', 'files'>;
    const files = load(changed, written({ prefix, mode: 'replace' }));
    const read = extract(lake.dataset(prefix, target), { after: [files] }) as Rows;
    const last = functions.behind?.(read, target) ?? read;
    const loaded = intoTable(last, database, target);
    await runs({ rows, ...(changed === rows ? {} : { changed }), files, read, ...(last === read ? {} : { last }), loaded }, lanes);
  },
});

/**
 * DECIMAL has no NaN; DATE and TIMESTAMP have no infinities, and the microseconds of a TIMESTAMP end on 294247-01-10. A column of text, or a
 * numeric without a precision, takes them all.
 */
const beyondParquet: Refusals = {
  'numeric(12,2)': { NaN: 'VALUE_UNREPRESENTABLE' },
  date: { infinity: 'VALUE_UNREPRESENTABLE', '-infinity': 'VALUE_UNREPRESENTABLE' },
  timestamp: {
    '294276-12-31 23:59:59.999999': 'VALUE_UNREPRESENTABLE',
    infinity: 'VALUE_UNREPRESENTABLE',
    '-infinity': 'VALUE_UNREPRESENTABLE',
  },
  timestamptz: {
    '294276-12-31 23:59:59.999999+00': 'VALUE_UNREPRESENTABLE',
    infinity: 'VALUE_UNREPRESENTABLE',
    '-infinity': 'VALUE_UNREPRESENTABLE',
  },
};

/** True for values of these types, other than the extremes of the matrix too, that Parquet cannot hold. */
export function isBeyondParquet({ type }: Column, text: string): boolean {
  const { kind } = baseType(type);
  if (kind === 'date' || kind === 'timestamp' || kind === 'timestamptz') return /infinity|^2942[5-9]/.test(text);
  return text === 'NaN' && duckType(type).startsWith('DECIMAL');
}

export const fileWays: readonly Way[] = [
  throughFiles('Parquet files', 'parquet', ['duckdb', 'duckdb'], beyondParquet),
  throughFiles('CSV files', 'csv', ['duckdb', 'duckdb'], {}),
  throughFiles('JSON Lines files', 'jsonl', ['duckdb', 'duckdb'], {}),
  throughFiles('a function and Parquet files', 'parquet', ['rows', 'duckdb'], { ...beyondParquet, ...arraysFromOne }, { before: madeAnew }),
  throughFiles('Parquet files and a function', 'parquet', ['duckdb', 'rows'], { ...beyondParquet, ...arraysFromOne }, { behind: madeAnew }),
];
