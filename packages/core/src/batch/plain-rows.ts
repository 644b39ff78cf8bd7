import { MillraceError } from '../error/index.ts';
import type { RowSchema } from '../schema/index.ts';
import type { ColumnBatch } from './column-batch.ts';
import { inColumn } from './mismatch.ts';
import { conform } from './text-value.ts';
import { valuesVector } from './vectors.ts';

/** Plain objects with a property for each column. */
export function rowsOf(batch: ColumnBatch): Record<string, unknown>[] {
  const columns = batch.schema.columns.map(({ name }, index) => [name, batch.vectors[index]!] as const);
  return Array.from({ length: batch.rowCount }, (_, row) => Object.fromEntries(columns.map(([name, vector]) => [name, vector.get(row)])));
}

/**
 * A batch of rows given as objects: test data, an HTTP answer, a driver's rows. Properties that name no column are not looked at.
 *
 * @throws TYPE_MISMATCH, with column and row, where a value does not fit or is missing
 */
export function batchOfRows(schema: RowSchema, rows: readonly Readonly<Record<string, unknown>>[]): ColumnBatch {
  const vectors = schema.columns.map(({ name, type, nullable }) => {
    const fitting = conform(type);
    const values = rows.map((row, index) => {
      const value = Object.hasOwn(row, name) ? row[name] : undefined;
      if (value === null && nullable) return null;
      try {
        if (value === undefined) throw missing(name);
        return fitting(value);
      } catch (error) {
        throw atRow(index, inColumn(name, error));
      }
    });
    return valuesVector(type, values);
  });
  return { schema, rowCount: rows.length, vectors };
}

const missing = (column: string): MillraceError =>
  new MillraceError('TYPE_MISMATCH', {
    message: 'the value is missing',
    remedy: `Give every row a "${column}", null where NULL is meant.`,
  });

function atRow(row: number, error: unknown): unknown {
  if (!(error instanceof MillraceError)) return error;
  return new MillraceError(error.code, { message: `Row ${row}: ${error.message}`, remedy: error.remedy, facts: { ...error.facts, row } });
}
