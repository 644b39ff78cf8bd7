export * from './column.ts';
export {
  baseType,
  type ColumnKind,
  type ColumnSchema,
  type ColumnType,
  type RowSchema,
  type SimpleKind,
  sameType,
  typeName,
} from './column-type.ts';
export { type ColumnEdge, edges, type Fidelity, fidelity } from './fidelity.ts';
export { nameParts } from './name.ts';
export { type Columns, type RedshiftPlacement, type RowOf, type Table, type TableOptions, table } from './table.ts';
