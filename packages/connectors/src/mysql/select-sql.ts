import {
  baseType,
  type ColumnSchema,
  type ColumnType,
  type Condition,
  comparer,
  encodeText,
  MillraceError,
  outputColumns,
  type RelationalOp,
  type Scalar,
} from '@millrace/core/runtime';
import type { ZeroDates } from './batches.ts';
import type { Expression } from './expression.ts';
import { quoteIdentifier } from './identifier.ts';
import { bytesLiteral, literal } from './literal.ts';

/** A SELECT over a table or query with the absorbed operations in it. */
export interface Select {
  /** What comes out. */
  readonly columns: readonly Expression[];
  /** True where rows depend on one another, so that they must be read in one piece. */
  readonly whole: boolean;
  /** `from` is the FROM item; `where` holds conditions on its own columns. */
  text(from: string, where: readonly string[]): string;
}

export function compileSelect(base: readonly Expression[], operations: readonly RelationalOp[]): Select {
  const layersOver = (from: string, where: readonly string[]): Layer => operations.reduce(apply, { from, where, columns: base });
  return {
    columns: layersOver('', []).columns,
    whole: operations.some(({ op }) => op === 'dedupe'),
    text(from, where) {
      const top = layersOver(from, where);
      return selectText(
        top,
        top.columns.map((column) => `${column.sql} AS ${quoteIdentifier(column.name)}`),
      );
    },
  };
}

/** What SQL cannot say, or not as a function would, is left to the function: to SQL, a zero date that is read as NULL is a date. */
export function canAbsorb(op: RelationalOp, input: readonly ColumnSchema[], zeroDates?: ZeroDates): boolean {
  const type = (name: string): ColumnType | undefined =>
    input.find((column) => column.name === name && !(zeroDates === 'null' && column.nullable && isClock(column.type)))?.type;
  switch (op.op) {
    case 'select':
      return op.columns.length > 0;
    case 'rename':
      return true;
    case 'filter':
      return op.where.every((condition) => {
        const of = type(condition.column);
        return of !== undefined && canCompare(of, condition);
      });
    case 'dedupe':
      return [...op.key, op.by].every((name) => {
        const of = type(name);
        return of !== undefined && isComparable(of);
      });
    case 'cast':
    case 'mask':
      return false;
    default:
      return op satisfies never;
  }
}

interface Layer {
  readonly from: string;
  readonly where: readonly string[];
  readonly columns: readonly Expression[];
}

function apply(layer: Layer, op: RelationalOp): Layer {
  const { columns } = layer;
  switch (op.op) {
    case 'select':
      return { ...layer, columns: op.columns.flatMap((name) => columns.filter((column) => column.name === name)) };
    case 'rename': {
      const described = outputColumns(op, columns);
      return { ...layer, columns: columns.map((column, at) => ({ ...column, name: described[at]?.name ?? column.name })) };
    }
    case 'filter':
      return {
        ...layer,
        where: [...layer.where, ...op.where.map((condition) => conditionSql(find(columns, condition.column), condition))],
      };
    case 'dedupe':
      return deduped(layer, op);
    case 'cast':
    case 'mask':
      throw new Error(`${op.op} was not to be absorbed.`);
    default:
      return op satisfies never;
  }
}

function find(columns: readonly Expression[], name: string): Expression {
  const found = columns.find((column) => column.name === name);
  if (!found) throw new Error(`There is no column "${name}".`);
  return found;
}

/** One row for each key. What comes after reads the rows that are left, so this makes a FROM item of its own. */
function deduped(layer: Layer, op: Extract<RelationalOp, { op: 'dedupe' }>): Layer {
  const place = '`__millrace_place`';
  const key = op.key.map((name) => comparable(find(layer.columns, name)));
  const by = comparable(find(layer.columns, op.by));
  const order = `${by} IS NULL, ${by} ${op.keep === 'greatest' ? 'DESC' : 'ASC'}`;
  const inner = selectText(layer, [
    ...layer.columns.map((column) => `${column.sql} AS ${quoteIdentifier(column.name)}`),
    `ROW_NUMBER() OVER (PARTITION BY ${key.join(', ')} ORDER BY ${order}) AS ${place}`,
  ]);
  return {
    from: `(${inner}) AS deduped`,
    where: [`${place} = 1`],
    columns: layer.columns.map(({ bare: _, ...column }) => ({ ...column, sql: quoteIdentifier(column.name) })),
  };
}

function selectText({ from, where }: Layer, columns: readonly string[]): string {
  return `SELECT ${columns.join(', ')} FROM ${from}${where.length > 0 ? ` WHERE ${where.map((condition) => `(${condition})`).join(' AND ')}` : ''}`;
}

/** Types that SQL compares as `comparer` does; text is compared by its bytes, which is by code point. */
const comparableKinds = new Set(['int2', 'int4', 'int8', 'numeric', 'date', 'timestamp', 'timestamptz', 'text', 'varchar', 'uuid']);
const characters = new Set(['text', 'varchar']);
const isClock = (type: ColumnType): boolean => ['date', 'timestamp', 'timestamptz'].includes(baseType(type).kind);
const isComparable = (type: ColumnType): boolean => comparableKinds.has(baseType(type).kind) && comparer(type) !== null;

/** True where SQL keeps the rows that `comparer` over their values would keep. */
function canCompare(type: ColumnType, condition: Condition): boolean {
  if (!('value' in condition)) return true;
  if (!isComparable(type)) return false;
  const values = typeof condition.value === 'object' ? condition.value : [condition.value];
  return values.every((value) => printed(type, value) !== null);
}

/** A condition as SQL. NULL fulfils none but `null`. */
function conditionSql(column: Expression, condition: Condition): string {
  switch (condition.is) {
    case 'null':
      return `${column.sql} IS NULL`;
    case 'not null':
      return `${column.sql} IS NOT NULL`;
    case 'in':
    case 'not in': {
      if (condition.value.length === 0) return condition.is === 'in' ? 'FALSE' : `${column.sql} IS NOT NULL`;
      const list = condition.value.map((value) => scalarSql(column.type, value)).join(', ');
      return `${comparable(column)} ${condition.is === 'in' ? 'IN' : 'NOT IN'} (${list})`;
    }
    default:
      return `${comparable(column)} ${condition.is} ${scalarSql(column.type, condition.value)}`;
  }
}

/**
 * A text's own collation may take `a` for `A`, and blanks at the end for nothing.
 *
 * @throws UNSUPPORTED for a text that is made of something else here: the server would compare what it prints itself
 */
function comparable({ name, sql, type, form, bare }: Expression): string {
  const isText = characters.has(baseType(type).kind);
  if (isText && form !== 'text') {
    throw new MillraceError('UNSUPPORTED', {
      message: `"${name}" is declared as text and is none at the source, so rows cannot be compared by it there.`,
      remedy: 'Declare the column with its own type ("millrace introspect" writes it down), and cast it afterwards.',
      facts: { column: name },
    });
  }
  if (form === 'instant') return bare ?? `CAST(LEFT(${sql}, CHAR_LENGTH(${sql}) - 3) AS DATETIME(6))`;
  return isText || baseType(type).kind === 'uuid' ? `CAST(CONVERT(${sql} USING utf8mb4) AS BINARY)` : `(${sql})`;
}

/** A value to compare with need not fit into the column: lengths and scales do not count. */
function comparedAs(type: ColumnType): ColumnType {
  const base = baseType(type);
  switch (base.kind) {
    case 'numeric':
    case 'timestamp':
    case 'timestamptz':
      return { kind: base.kind };
    case 'varchar':
      return { kind: 'text' };
    case 'int2':
    case 'int4':
      return { kind: 'int8' };
    default:
      return base;
  }
}

/** Null for what no value of MySQL can be compared with: infinity, years before 1 and after 9999, NaN. */
function printed(type: ColumnType, value: Scalar): string | null {
  try {
    const text = encodeText(comparedAs(type))(value);
    if (isClock(type) && !/^\d{4}-[^B]*$/.test(text)) return null;
    return baseType(type).kind === 'numeric' && !/^-?[\d.]+$/.test(text) ? null : text;
  } catch {
    return null;
  }
}

function scalarSql(type: ColumnType, value: Scalar): string {
  const text = printed(type, value) ?? String(value);
  switch (baseType(type).kind) {
    case 'text':
    case 'varchar':
    case 'uuid':
      return bytesLiteral(Buffer.from(text, 'utf8'));
    case 'date':
      return `CAST(${literal(text)} AS DATE)`;
    case 'timestamp':
      return `CAST(${literal(text)} AS DATETIME(6))`;
    case 'timestamptz':
      return `CAST(${literal(text.replace(/\+00$/, ''))} AS DATETIME(6))`;
    default:
      return text;
  }
}
