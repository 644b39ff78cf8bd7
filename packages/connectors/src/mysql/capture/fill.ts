import { baseType, type ColumnType, conform, textCodec } from '@millrace/core/runtime';
import type { SourceColumn } from '../../postgres/capture/stream-columns.ts';
import type { StepFill } from '../binlog/alter-table.ts';
import type { Charsets } from '../binlog/charset.ts';
import { labelsOf } from '../binlog/label-field.ts';
import { fieldTypes, type LogColumn } from '../binlog/table-map.ts';

/**
 * What rows that were there before a column was added have in it, as the text that its type prints. What MySQL makes of a default in another way than
 * it is written (times, bits, bytes) is left to a new copy.
 */
export function implicitFill(fill: StepFill, column: LogColumn, type: ColumnType, charsets: Charsets): SourceColumn['fill'] {
  if (fill.kind === 'computed') return { kind: 'computed' };
  if (fill.kind === 'constant' && fill.value === null) return { kind: 'constant', value: null };
  const value = fill.kind === 'constant' ? fill.value : beginningOf(column, type, charsets);
  if (value === null || !isPlain(type)) return { kind: 'computed' };
  try {
    return { kind: 'constant', value: textCodec(type).print(conform(type)(value)) };
  } catch {
    return { kind: 'computed' };
  }
}

/** The value that a type begins with where a column is NOT NULL and has no default. */
function beginningOf(column: LogColumn, type: ColumnType, charsets: Charsets): string | null {
  if (column.type === fieldTypes.enum) return labelsOf(column, charsets)[0] ?? null;
  switch (baseType(type).kind) {
    case 'int2':
    case 'int4':
    case 'int8':
    case 'numeric':
    case 'float4':
    case 'float8':
      return '0';
    case 'bool':
      return 'f';
    case 'text':
    case 'varchar':
      return '';
    default:
      return null;
  }
}

const plainKinds = new Set<ColumnType['kind']>(['int2', 'int4', 'int8', 'float4', 'float8', 'text', 'varchar', 'enum', 'date']);

/** Written and printed alike. A decimal must have as many digits as its column, which MySQL rounds to. */
function isPlain(type: ColumnType): boolean {
  const base = baseType(type);
  return plainKinds.has(base.kind) || base.kind === 'numeric' || base.kind === 'bool';
}
