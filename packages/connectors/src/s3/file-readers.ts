import { MillraceError, type RowOf, type Selection, type Table } from '@millrace/core/runtime';
import { type CsvDialect, canonicalDialect } from '../duckdb/index.ts';
import { type CsvReadOptions, fileSelection, type ReadOptions, type ReadPlace } from './selection.ts';

/** Files of a pattern as rows of a table. */
export interface FileReaders {
  /** Reads Parquet: `extract(lake.parquet('raw/orders/*.parquet', orders))`. Files may have more columns than the table. */
  parquet<T extends Table>(pattern: string, table: T, options?: ReadOptions): Selection<RowOf<T>>;
  /** Reads CSV. With a header (default) columns go by name, else by place. */
  csv<T extends Table>(pattern: string, table: T, options?: CsvReadOptions): Selection<RowOf<T>>;
  /** Reads JSON Lines. A key that is missing is NULL. */
  jsonl<T extends Table>(pattern: string, table: T, options?: ReadOptions): Selection<RowOf<T>>;
}

export function fileReaders(place: ReadPlace): FileReaders {
  const reader =
    (format: 'parquet' | 'csv' | 'jsonl') =>
    <T extends Table>(pattern: string, table: T, read: CsvReadOptions = {}): Selection<RowOf<T>> => {
      const { mayBeEmpty = false, maxRowBytes, ...dialect } = read;
      const csv = format === 'csv' ? { csv: usableDialect({ ...canonicalDialect, ...dialect }) } : {};
      const options = maxRowBytes === undefined ? {} : { maxRowBytes };
      return fileSelection<RowOf<T>>(place, { from: { kind: 'glob', pattern }, format, mayBeEmpty, ...csv }, table, options);
    };
  return { parquet: reader('parquet'), csv: reader('csv'), jsonl: reader('jsonl') };
}

/** @throws PIPELINE_INVALID */
function usableDialect(dialect: CsvDialect): CsvDialect {
  const { delimiter, quote, escape: escaping, nullText } = dialect;
  const one = (text: string) => /^[\t\x20-\x7e]$/.test(text);
  const wrong = !one(delimiter)
    ? 'the delimiter'
    : !one(quote)
      ? 'the quote'
      : !one(escaping)
        ? 'the escape'
        : delimiter === quote
          ? 'the quote'
          : null;
  if (wrong === null && !nullText.includes('\n')) return dialect;
  throw new MillraceError('PIPELINE_INVALID', {
    message: `CSV: ${wrong ?? 'nullText'} cannot be used.`,
    remedy: 'Delimiter, quote and escape are one ASCII character each, and the quote is not the delimiter.',
  });
}
