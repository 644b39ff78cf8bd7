import { baseType, type ColumnSchema, type ColumnType } from '@millrace/core/runtime';
import { sqlType } from './sink/sql-type.ts';

/** A column of a SELECT: what it is called, what it is, and the SQL that makes it. */
export interface Expression extends ColumnSchema {
  readonly sql: string;
}

/**
 * The text of a value as COPY prints it, NULL for NULL. A cast to text says something else for a few types: `true` for `t`, a char
 * without its blanks, an address with its mask.
 */
export function textOf({ sql, type }: Pick<Expression, 'sql' | 'type'>): string {
  switch (baseType(type).kind) {
    case 'text':
    case 'varchar':
      return sql;
    case 'bool':
      return `textin(boolout(${sql}))`;
    case 'char':
      return `textin(bpcharout(${sql}))`;
    case 'inet':
      return `textin(inet_out(${sql}))`;
    case 'cidr':
      return `textin(cidr_out(${sql}))`;
    case 'other':
      // Somebody's own cast to text may say anything; format() asks the type's output function. A row of NULLs is not NULL to it.
      return `CASE num_nulls(${sql}) WHEN 0 THEN format('%s', ${sql}) END`;
    default:
      return `(${sql})::text`;
  }
}

/** The same value in another type that can hold it (`fidelity` is exact or widening). */
export function castTo(expression: Expression, type: ColumnType): Expression {
  if (onWire(expression.type) === onWire(type) && !rescaled(expression.type, type)) return { ...expression, type };
  const to = baseType(type);
  const sql = to.kind === 'text' || to.kind === 'varchar' ? textOf(expression) : `(${expression.sql})::${sqlType(to)}`;
  return { ...expression, type, sql };
}

/** What the binary form of a type depends on: types of one name here have the same bytes for the same value. */
function onWire(type: ColumnType): string {
  const base = baseType(type);
  if (base.kind === 'array') return `${base.of.kind === 'domain' ? 'domain' : base.of.kind}[]`;
  if (base.kind === 'varchar') return 'text';
  if (base.kind === 'range' || base.kind === 'other') return base.name;
  return base.kind;
}

/** `1.1` is `1.1000` once four decimals are declared. */
function rescaled(from: ColumnType, to: ColumnType): boolean {
  const a = baseType(from);
  const b = baseType(to);
  return a.kind === 'numeric' && b.kind === 'numeric' && b.precision !== undefined && (a.precision === undefined || a.scale !== b.scale);
}
