import { baseType, type ColumnType, type Condition, comparer, encodeText, type Scalar } from '@millrace/core/runtime';
import type { Expression } from './expression.ts';
import { literal } from './literal.ts';
import { sqlType } from './sink/sql-type.ts';

/** True where SQL keeps the rows that `comparer` over their values would keep. */
export function canCompare(type: ColumnType, condition: Condition): boolean {
  if (!('value' in condition)) return true;
  if (!comparer(type)) return false;
  // The order of labels is that of the declaration there and that of the source here.
  const isOrder = !['=', '<>', 'in', 'not in'].includes(condition.is);
  if (isOrder && baseType(type).kind === 'enum') return false;
  const values = typeof condition.value === 'object' ? condition.value : [condition.value];
  return values.every((value) => printed(comparedAs(type), value) !== null);
}

/** A condition as SQL. NULL fulfils none but `null`. */
export function conditionSql(column: Expression, condition: Condition): string {
  switch (condition.is) {
    case 'null':
      return `num_nulls(${column.sql}) = 1`;
    case 'not null':
      return `num_nulls(${column.sql}) = 0`;
    case 'in':
    case 'not in': {
      if (condition.value.length === 0) return condition.is === 'in' ? 'false' : `num_nulls(${column.sql}) = 0`;
      const list = condition.value.map((value) => scalarSql(column.type, value)).join(', ');
      return `${comparable(column)} ${condition.is === 'in' ? 'IN' : 'NOT IN'} (${list})`;
    }
    default:
      return `${comparable(column)} ${condition.is} ${scalarSql(column.type, condition.value)}`;
  }
}

/** Text is compared by code point, whatever the collation of the column: the same everywhere. */
function comparable({ sql, type }: Expression): string {
  switch (baseType(type).kind) {
    case 'text':
    case 'varchar':
    case 'char':
      return `(${sql}) COLLATE "C"`;
    case 'enum':
      return `(${sql})::text COLLATE "C"`;
    default:
      return `(${sql})`;
  }
}

/** A value to compare with need not fit into the column: lengths and scales do not count. */
function comparedAs(type: ColumnType): ColumnType {
  const base = baseType(type);
  switch (base.kind) {
    case 'numeric':
    case 'varbit':
    case 'time':
    case 'timetz':
    case 'timestamp':
    case 'timestamptz':
      return { kind: base.kind };
    case 'varchar':
    case 'char':
    case 'enum':
      return { kind: 'text' };
    case 'int2':
    case 'int4':
      return { kind: 'int8' };
    case 'float4':
      return { kind: 'float8' };
    default:
      return base;
  }
}

function printed(type: ColumnType, value: Scalar): string | null {
  try {
    return encodeText(type)(value);
  } catch {
    return null;
  }
}

function scalarSql(type: ColumnType, value: Scalar): string {
  const as = comparedAs(type);
  // Blanks at the end of a char mean nothing; a text beside it would make them mean something.
  const cast = baseType(type).kind === 'char' ? 'bpchar' : sqlType(as);
  return `${literal(printed(as, value) ?? String(value))}::${cast}`;
}
