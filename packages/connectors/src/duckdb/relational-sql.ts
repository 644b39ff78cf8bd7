import {
  baseType,
  type ColumnSchema,
  type ColumnType,
  type Condition,
  encodeText,
  fidelity,
  type Mask,
  ofColumn,
  type RelationalOp,
  type RowSchema,
  type SecretRef,
} from '@millrace/core/runtime';
import { ident, literal } from './sql.ts';
import { duckType, textOfValue, valueOfText } from './types.ts';

/**
 * A column on its way through a query. `sql` names it. `form` is what it holds: a value of `duckType`, or the text that
 * Postgres prints, which is how text files carry what no DuckDB type holds.
 */
export interface Field extends ColumnSchema {
  readonly sql: string;
  readonly form: Form;
}

export type Form = 'value' | 'text';

export interface Relation {
  readonly sql: string;
  readonly columns: readonly Field[];
  /** Bound, never written into the statement: salts and the values of filters. */
  readonly values: readonly string[];
}

/** The operations over `base`, a SELECT with columns `c0`, `c1`, … in the order of the schema. */
export async function relation(
  ops: readonly RelationalOp[],
  schema: RowSchema,
  base: string,
  form: Form,
  secret: (ref: SecretRef) => Promise<string>,
): Promise<Relation> {
  const values: string[] = [];
  const bind = (value: string) => `CAST($${values.push(value)} AS VARCHAR)`;
  let columns: readonly Field[] = schema.columns.map((column, index) => ({ ...column, sql: `c${index}`, form }));
  let sql = base;
  let layer = 0;
  const project = (next: readonly (Omit<Field, 'sql'> & { readonly expression: string })[], from: string) => {
    layer++;
    columns = next.map(({ expression: _, ...column }, index) => ({ ...column, sql: `l${layer}_${index}` }));
    sql = `SELECT ${next.map(({ expression }, index) => `${expression} AS l${layer}_${index}`).join(', ')} FROM (${from})`;
  };
  for (const op of ops) {
    switch (op.op) {
      case 'select':
        columns = op.columns.flatMap((name) => columns.filter((column) => column.name === name));
        break;
      case 'rename':
        columns = columns.map((column) => ({ ...column, name: ofColumn(op.columns, column.name) ?? column.name }));
        break;
      case 'cast':
        project(
          columns.map((column) => {
            const cast = ofColumn(op.columns, column.name);
            if (!cast) return { ...column, expression: column.sql };
            return { ...castTo(column, cast.type), nullable: column.nullable || cast.onError === 'null' };
          }),
          sql,
        );
        break;
      case 'filter':
        sql = `SELECT * FROM (${sql}) WHERE ${op.where.map((condition) => `(${conditionSql(columns, condition, bind)})`).join(' AND ') || 'true'}`;
        break;
      case 'mask': {
        const salts = new Map<string, string>();
        for (const mask of Object.values(op.columns)) if ('salt' in mask) salts.set(mask.salt.name, await secret(mask.salt));
        project(
          columns.map((column) => {
            const mask = ofColumn(op.columns, column.name);
            if (!mask) return { ...column, expression: column.sql };
            const nullable = column.nullable || (mask.mask === 'redact' && mask.with === null);
            return { name: column.name, type: { kind: 'text' }, nullable, form: 'value', expression: maskSql(column, mask, salts, bind) };
          }),
          sql,
        );
        break;
      }
      case 'dedupe': {
        const key = op.key.map((name) => comparable(columns, name)).join(', ');
        const by = `${comparable(columns, op.by)} ${op.keep === 'greatest' ? 'DESC' : 'ASC'} NULLS LAST`;
        sql = `SELECT * FROM (${sql}) QUALIFY row_number() OVER (PARTITION BY ${key} ORDER BY ${by}) = 1`;
        break;
      }
      default:
        op satisfies never;
    }
  }
  return { sql, columns, values };
}

/** True where DuckDB gives what the same operation over batches, or Postgres, would give. */
export function absorbable(op: RelationalOp, input: readonly ColumnSchema[]): boolean {
  const type = (name: string) => input.find((column) => column.name === name)?.type;
  switch (op.op) {
    case 'select':
    case 'rename':
      return true;
    case 'cast':
      return Object.entries(op.columns).every(([name, to]) => {
        const from = type(name);
        return from !== undefined && castable(from, to.type);
      });
    case 'filter':
      return op.where.every((condition) => {
        const of = type(condition.column);
        return of !== undefined && canCompare(of, condition);
      });
    case 'mask':
      // Floats are printed in another way here than by Postgres.
      return Object.keys(op.columns).every((name) => {
        const of = type(name);
        return of !== undefined && !isFloat(of);
      });
    case 'dedupe':
      return [...op.key, op.by].every((name) => {
        const of = type(name);
        return of !== undefined && (hasOrder(of) || (name !== op.by && hasEquality(of)));
      });
    default:
      return op satisfies never;
  }
}

const isFloat = (type: ColumnType): boolean => ['float4', 'float8'].includes(baseType(type).kind);

/** One order here and in Postgres: text by code point, which is the order of its bytes. */
function hasOrder(declared: ColumnType): boolean {
  const type = baseType(declared);
  if (type.kind === 'numeric') return duckType(type) !== 'VARCHAR';
  return [
    'bool',
    'int2',
    'int4',
    'int8',
    'float4',
    'float8',
    'date',
    'time',
    'timestamp',
    'timestamptz',
    'uuid',
    'text',
    'varchar',
  ].includes(type.kind);
}

const hasEquality = (type: ColumnType): boolean => hasOrder(type) || baseType(type).kind === 'enum';

function canCompare(type: ColumnType, condition: Condition): boolean {
  if (!('value' in condition)) return true;
  const ordered = ['<', '<=', '>', '>='].includes(condition.is);
  if (ordered ? !hasOrder(type) : !hasEquality(type)) return false;
  const scalars: readonly unknown[] = typeof condition.value === 'object' ? condition.value : [condition.value];
  return scalars.every((value) => {
    const text = printed(type, value);
    // An infinity is a value of DuckDB's dates too; what is outside its range is not.
    return text !== null && !text.endsWith('BC') && !/^\d{5,}-/.test(text) && text !== 'NaN';
  });
}

/** The value as text of the column's type; null where it is none. Lengths and scales do not bind what is compared with. */
function printed(declared: ColumnType, value: unknown): string | null {
  const type = baseType(declared);
  try {
    return encodeText(type.kind === 'varchar' || type.kind === 'enum' ? { kind: 'text' } : type)(value);
  } catch {
    return null;
  }
}

const find = (columns: readonly Field[], name: string): Field => {
  const column = columns.find((one) => one.name === name);
  if (!column) throw new Error(`no column "${name}"`);
  return column;
};

const typedSql = (column: Field): string =>
  column.form === 'value' ? column.sql : valueOfText(column.type, column.sql, column.name, { infinity: true });
const textSql = (column: Field): string => (column.form === 'text' ? column.sql : textOfValue(column.type, column.sql));
const comparable = (columns: readonly Field[], name: string): string => typedSql(find(columns, name));

/** A condition as SQL. NULL fulfils none but `null`; a comparison with NaN is false, as in JavaScript. */
function conditionSql(columns: readonly Field[], condition: Condition, bind: (value: string) => string): string {
  const column = find(columns, condition.column);
  const scalar = (value: unknown) => `CAST(${bind(printed(column.type, value) ?? String(value))} AS ${duckType(column.type)})`;
  switch (condition.is) {
    case 'null':
      return `${column.sql} IS NULL`;
    case 'not null':
      return `${column.sql} IS NOT NULL`;
    case 'in':
    case 'not in':
      if (condition.value.length === 0) return condition.is === 'in' ? 'false' : `${column.sql} IS NOT NULL`;
      return `${typedSql(column)} ${condition.is === 'in' ? 'IN' : 'NOT IN'} (${condition.value.map(scalar).join(', ')})`;
    default:
      // NaN is above everything and equal to itself, here as in Postgres.
      return `${typedSql(column)} ${condition.is} ${scalar(condition.value)}`;
  }
}

/** Casts that lose nothing: the others have a function that says what happens to values that do not fit. */
function castable(from: ColumnType, to: ColumnType): boolean {
  if (fidelity(from, to) === 'lossy') return false;
  const a = baseType(from);
  const b = baseType(to);
  if (isFloat(a) && !isFloat(b)) return false;
  if (b.kind === 'numeric') return duckType(a) !== 'VARCHAR' && duckType(b) !== 'VARCHAR';
  return true;
}

function castTo(column: Field, type: ColumnType): Omit<Field, 'sql'> & { readonly expression: string } {
  const to = baseType(type);
  if (duckType(type) === 'VARCHAR')
    return { name: column.name, type, nullable: column.nullable, form: 'text', expression: textSql(column) };
  return { name: column.name, type, nullable: column.nullable, form: 'value', expression: `CAST(${typedSql(column)} AS ${duckType(to)})` };
}

function maskSql(column: Field, mask: Mask, salts: ReadonlyMap<string, string>, bind: (value: string) => string): string {
  const text = textSql(column);
  const hash = (name: string) => `sha256(${bind(salts.get(name) ?? '')} || ${text})`;
  switch (mask.mask) {
    case 'hash':
      return hash(mask.salt.name);
    case 'redact':
      return mask.with === null ? 'CAST(NULL AS VARCHAR)' : `CASE WHEN ${column.sql} IS NOT NULL THEN ${literal(mask.with)} END`;
    case 'tokenize':
      return `${literal(mask.prefix)} || left(${hash(mask.salt.name)}, 32) || right(${text}, ${Math.max(0, Math.trunc(mask.keepLast))})`;
    case 'truncate':
      return `left(${text}, ${Math.max(0, Math.trunc(mask.length))})`;
    default:
      return mask satisfies never;
  }
}

/** The rows of the relation as canonical CSV wants them, in the columns' order. */
export function canonicalRows({ sql, columns }: Relation): string {
  return `SELECT ${columns.map((column, index) => `${textSql({ ...column, sql: ident(column.sql) })} AS o${index}`).join(', ')} FROM (${sql})`;
}
