import { baseType, type ColumnSchema, type Condition, ofColumn, type RelationalOp } from '@millrace/core/runtime';
import type { SourceColumn } from './columns.ts';
import type { Dialect } from './dialect.ts';
import type { Parameter } from './protocol.ts';

/** A piece of SQL with `?` for each of its parameters. */
export interface Fragment {
  readonly sql: string;
  readonly parameters: readonly Parameter[];
}

/** A SELECT with the absorbed operations in it. */
export interface Select {
  /** What comes out. */
  readonly columns: readonly SourceColumn[];
  /** Conditions on the source's own columns. */
  readonly where: readonly Fragment[];
}

/** What means the same in every database: columns left out, renamed, and rows told apart by whole numbers and by NULL. Texts are not: collations differ. */
export function canAbsorb(op: RelationalOp, input: readonly ColumnSchema[]): boolean {
  switch (op.op) {
    case 'select':
      return op.columns.length > 0;
    case 'rename':
      return true;
    case 'filter':
      return op.where.every((condition) => {
        const column = input.find(({ name }) => name === condition.column);
        if (!column) return false;
        if (!('value' in condition)) return true;
        const values = typeof condition.value === 'object' ? condition.value : [condition.value];
        return isInteger(column) && values.length > 0 && values.every(isWhole);
      });
    default:
      return false;
  }
}

const isInteger = ({ type }: ColumnSchema): boolean => ['int2', 'int4', 'int8'].includes(baseType(type).kind);
const isWhole = (value: unknown): boolean =>
  (typeof value === 'bigint' && BigInt.asIntN(64, value) === value) || (typeof value === 'number' && Number.isSafeInteger(value));

export function compileSelect(base: readonly SourceColumn[], operations: readonly RelationalOp[], quote: (name: string) => string): Select {
  return operations.reduce<Select>(
    ({ columns, where }, op) => {
      switch (op.op) {
        case 'select':
          return { where, columns: op.columns.flatMap((name) => columns.filter((column) => column.name === name)) };
        case 'rename':
          return { where, columns: columns.map((column) => ({ ...column, name: ofColumn(op.columns, column.name) ?? column.name })) };
        case 'filter':
          return {
            columns,
            where: [
              ...where,
              ...op.where.flatMap((condition) => {
                const column = columns.find(({ name }) => name === condition.column);
                return column ? [conditionSql(quote(column.source.name), condition)] : [];
              }),
            ],
          };
        default:
          return { columns, where };
      }
    },
    { columns: base, where: [] },
  );
}

/** NULL fulfils none but `null`. */
function conditionSql(column: string, condition: Condition): Fragment {
  switch (condition.is) {
    case 'null':
      return { sql: `${column} IS NULL`, parameters: [] };
    case 'not null':
      return { sql: `${column} IS NOT NULL`, parameters: [] };
    case 'in':
    case 'not in':
      return {
        sql: `${column} ${condition.is === 'in' ? 'IN' : 'NOT IN'} (${condition.value.map(() => '?').join(', ')})`,
        parameters: condition.value.map((value) => ({ kind: 'long', value: String(value) })),
      };
    default:
      return { sql: `${column} ${condition.is} ?`, parameters: [{ kind: 'long', value: String(condition.value) }] };
  }
}

export function selectSql(
  from: string,
  { columns, where }: Select,
  more: readonly Fragment[],
  dialect: Pick<Dialect, 'whole'>,
  quote: (name: string) => string,
): Fragment {
  const all = [...where, ...more];
  const list = columns.map(({ source, actual }) => dialect.whole(quote(source.name), actual.type) ?? quote(source.name)).join(', ');
  return {
    sql: `SELECT ${list} FROM ${from}${all.length > 0 ? ` WHERE ${all.map(({ sql }) => `(${sql})`).join(' AND ')}` : ''}`,
    parameters: all.flatMap(({ parameters }) => parameters),
  };
}
