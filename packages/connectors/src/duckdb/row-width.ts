import { baseType, type ColumnType, type RowSchema } from '@millrace/core/runtime';

/**
 * The longest row, in bytes of CSV, that a conversion takes. DuckDB's reader keeps up to eight buffers of this size, so it decides
 * how much memory a conversion uses: measured on 16 columns of lineitem, 239 MB of RSS with 8 MB, 327 with 32, 411 with 64.
 */
export function maxRowBytes(schema: RowSchema, asked: number | undefined): number {
  return asked ?? (isNarrow(schema) ? narrowRowBytes : wideRowBytes);
}

const narrowRowBytes = 8 * 1024 * 1024;
export const wideRowBytes = 32 * 1024 * 1024;

/** True where the types alone keep every row below 4 MB. */
export function isNarrow(schema: RowSchema): boolean {
  return schema.columns.reduce((sum, { type }) => sum + widest(type), 0) <= narrowRowBytes / 2;
}

/** Bytes of the longest value as quoted CSV. */
function widest(declared: ColumnType): number {
  const type = baseType(declared);
  switch (type.kind) {
    case 'char':
    case 'varchar':
      return type.length === undefined ? Infinity : 4 * type.length + 2;
    case 'enum':
      return 2 * Math.max(0, ...type.labels.map((label) => Buffer.byteLength(label))) + 2;
    case 'numeric':
      return type.precision === undefined ? Infinity : type.precision + 4;
    case 'bit':
      return type.length;
    case 'varbit':
      return type.length ?? Infinity;
    case 'text':
    case 'bytea':
    case 'json':
    case 'jsonb':
    case 'array':
    case 'range':
    case 'other':
      return Infinity;
    default:
      return 64;
  }
}
