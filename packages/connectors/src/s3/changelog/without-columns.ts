import type { ColumnBatch, TableChanges } from '@millrace/core/runtime';

/** The changes without some columns of their table. */
export function withoutColumns(part: TableChanges, names: readonly string[]): TableChanges {
  if (names.length === 0) return part;
  return { ...part, rows: withoutBatchColumns(part.rows, names), old: part.old && withoutBatchColumns(part.old, names) };
}

export function withoutBatchColumns(batch: ColumnBatch, names: readonly string[]): ColumnBatch {
  if (names.length === 0) return batch;
  const places = batch.schema.columns.flatMap(({ name }, place) => (names.includes(name) ? [] : [place]));
  return {
    schema: { ...batch.schema, columns: places.map((place) => batch.schema.columns[place]!) },
    rowCount: batch.rowCount,
    vectors: places.map((place) => batch.vectors[place]!),
  };
}
