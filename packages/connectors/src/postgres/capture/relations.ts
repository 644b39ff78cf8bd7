import { type ColumnSchema, MillraceError, type RowSchema } from '@millrace/core/runtime';
import type { Relation } from '../replication/relation.ts';
import { type CatalogTable, showTable } from './catalog-table.ts';
import { type ColumnSource, canBeBinary, type TableShape, tableShape } from './table-shape.ts';

/** A table of the pipeline and where it is at the source. */
export interface FollowedTable {
  /** Its name in the pipeline. */
  readonly table: string;
  readonly declared: RowSchema;
  readonly catalog: CatalogTable;
}

/** True where all values of these tables can come in binary form and be read. */
export function canStreamBinary(tables: readonly FollowedTable[]): boolean {
  return tables.every(({ declared, catalog }) =>
    declared.columns.every((column) => {
      const source = catalog.columns.find(({ name }) => name === column.name);
      return source === undefined || canBeBinary(source.type, column.type, source.canSend);
    }),
  );
}

/** The shape of a relation's rows. */
export function shapeOf({ table, declared, catalog }: FollowedTable, relation: Relation, binary: boolean): TableShape {
  const columns = declared.columns.map((column): ColumnSource => {
    const source = relation.columns.findIndex(({ name }) => name === column.name);
    if (source < 0) throw missing(catalog, column);
    const known = catalog.columns.find(({ name }) => name === column.name);
    return { column, from: known?.type ?? null, source };
  });
  return tableShape({ table, key: declared.key, columns, sources: relation.columns.length, binary });
}

const missing = (table: CatalogTable, { name }: ColumnSchema): MillraceError =>
  new MillraceError('SCHEMA_CHANGED', {
    message: `${showTable(table)} has no column "${name}" at this place in the stream.`,
    remedy: 'Correct the table() declaration.',
    facts: { table: showTable(table), column: name },
  });
