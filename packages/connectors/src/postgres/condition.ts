import { baseType, type ColumnType, type Condition, encodeText, type Scalar } from '@millrace/core/runtime';
import { type Expression, textOf } from './expression.ts';
import { literal } from './literal.ts';
import { sqlType } from './sink/sql-type.ts';

/** True where SQL and a function over the values would keep the same rows. */
export function canCompare(type: ColumnType, condition: Condition): boolean {
  if (condition.is === 'null' || condition.is === 'not null') return true;
  const compared = comparedAs(type);
  if (!compared) return false;
  // Enums are ordered by declaration in SQL, which is nobody's order elsewhere.
  const ordered = condition.is !== '=' && condition.is !== '<>' && condition.is !== 'in' && condition.is !== 'not in';
  if (ordered && baseType(type).kind === 'enum') return false;
  return scalars(condition).every((value) => printed(compared, value) !== null);
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
    default: {
      const comparison = `${comparable(column)} ${condition.is} ${scalarSql(column.type, condition.value)}`;
      // Postgres puts NaN above all numbers; a comparison in JavaScript is false for it.
      return isFloat(column.type) && (condition.is === '>' || condition.is === '>=') ? `${comparison} AND (${column.sql}) <> 'NaN'` : comparison;
    }
  }
}

function scalars(condition: Condition): readonly Scalar[] {
  if (!('value' in condition)) return [];
  return typeof condition.value === 'object' ? condition.value : [condition.value];
}

const isFloat = (type: ColumnType): boolean => ['float4', 'float8'].includes(baseType(type).kind);

/** Text is compared by code point, whatever the collation of the column: the same everywhere, and what functions do. */
function comparable(column: Expression): string {
  switch (baseType(column.type).kind) {
    case 'text':
    case 'varchar':
    case 'char':
    case 'enum':
      return `(${textOf(column)}) COLLATE "C"`;
    default:
      return `(${column.sql})`;
  }
}

/** The type in which a value is compared with the column, free of lengths and scales; undefined where the two worlds may differ. */
function comparedAs(type: ColumnType): ColumnType | undefined {
  const base = baseType(type);
  switch (base.kind) {
    case 'bool':
    case 'int2':
    case 'int4':
    case 'int8':
    case 'float8':
    case 'date':
    case 'uuid':
    case 'text':
      return base;
    case 'float4':
      return { kind: 'float8' };
    case 'numeric':
    case 'timestamp':
    case 'timestamptz':
      return { kind: base.kind };
    case 'varchar':
    case 'enum':
      return { kind: 'text' };
    case 'char':
      return base;
    default:
      return undefined;
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
  const as = comparedAs(type) ?? { kind: 'text' };
  const cast = as.kind === 'char' ? 'text' : sqlType(as);
  return `${literal(printed(as, value) ?? String(value))}::${cast}`;
}
