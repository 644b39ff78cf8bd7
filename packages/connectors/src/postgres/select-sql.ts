import {
  baseType,
  type ColumnSchema,
  comparer,
  ofColumn,
  outputColumns,
  type RelationalOp,
  type SecretRef,
  sameType,
  type WireFormat,
} from '@millrace/core/runtime';
import { formOf } from './binary/form.ts';
import { canCompare, conditionSql } from './condition.ts';
import { type Expression, textOf } from './expression.ts';
import { quoteIdentifier } from './identifier.ts';
import { maskSql } from './mask-sql.ts';
import { sqlType } from './sink/sql-type.ts';

/** A SELECT over a table or query with the absorbed operations in it. */
export interface Select {
  /** What comes out. */
  readonly columns: readonly ColumnSchema[];
  /** Bound as settings of the transaction, by their place here: see `saltSetting`. */
  readonly salts: readonly SecretRef[];
  /** True where rows depend on one another, so that they must be read in one piece. */
  readonly whole: boolean;
  /** `from` is the FROM item; `where` holds conditions on its own columns. */
  text(from: string, where: readonly string[], format: WireFormat): string;
}

export function compileSelect(base: readonly Expression[], operations: readonly RelationalOp[]): Select {
  const salts: SecretRef[] = [];
  const salt = (ref: SecretRef): number => {
    const known = salts.findIndex(({ name }) => name === ref.name);
    return known >= 0 ? known : salts.push(ref) - 1;
  };
  const layersOver = (from: string, where: readonly string[]): Layer =>
    operations.reduce((layer, op) => apply(layer, op, salt), { from, where, columns: base });
  const { columns } = layersOver('', []);
  return {
    columns: columns.map(({ name, type, nullable }) => ({ name, type, nullable })),
    salts,
    whole: operations.some(({ op }) => op === 'dedupe'),
    text(from, where, format) {
      const top = layersOver(from, where);
      return selectText(
        top,
        top.columns.map((column) => `${onWire(column, format)} AS ${quoteIdentifier(column.name)}`),
      );
    },
  };
}

/** What SQL cannot say, or not as a function would, is left to the function. */
export function canAbsorb(op: RelationalOp, input: readonly ColumnSchema[]): boolean {
  const type = (name: string): ColumnSchema['type'] | undefined => input.find((column) => column.name === name)?.type;
  switch (op.op) {
    case 'select':
      return op.columns.length > 0;
    case 'rename':
    case 'mask':
      return true;
    case 'filter':
      return op.where.every((condition) => {
        const of = type(condition.column);
        return of !== undefined && canCompare(of, condition);
      });
    case 'cast':
      return Object.entries(op.columns).every(([name, { type: to, onError }]) => {
        const from = type(name);
        return from !== undefined && onError === 'fail' && canCast(from, to);
      });
    case 'dedupe':
      return [...op.key, op.by].every((name) => {
        const of = type(name);
        return of !== undefined && (name === op.by ? comparer(of) !== null : baseType(of).kind !== 'json');
      });
    default:
      return op satisfies never;
  }
}

/** Types that exist in this database by accident only. */
const foreign = new Set(['enum', 'range', 'other']);
/** Postgres guesses at texts for these; a cast elsewhere refuses what it would have to guess. */
const guessed = new Set([
  'interval',
  'macaddr',
  'macaddr8',
  'array',
  'date',
  'time',
  'timetz',
  'timestamp',
  'timestamptz',
  'bit',
  'varbit',
  'bytea',
]);
const characters = new Set(['text', 'varchar', 'char']);

function canCast(from: ColumnSchema['type'], to: ColumnSchema['type']): boolean {
  const a = baseType(from);
  const b = baseType(to);
  if (sameType(a, b)) return true;
  return !foreign.has(b.kind) && !foreign.has(a.kind) && !(characters.has(a.kind) && guessed.has(b.kind));
}

interface Layer {
  readonly from: string;
  readonly where: readonly string[];
  readonly columns: readonly Expression[];
}

function apply(layer: Layer, op: RelationalOp, salt: (ref: SecretRef) => number): Layer {
  const { columns } = layer;
  const described = outputColumns(op, columns);
  switch (op.op) {
    case 'select':
      return { ...layer, columns: op.columns.flatMap((name) => columns.filter((column) => column.name === name)) };
    case 'rename':
      return { ...layer, columns: columns.map((column, at) => ({ ...column, name: described[at]?.name ?? column.name })) };
    case 'cast':
      return {
        ...layer,
        columns: columns.map((column) => {
          const cast = ofColumn(op.columns, column.name);
          return cast && !sameType(column.type, cast.type)
            ? { ...column, type: cast.type, sql: `(${column.sql})::${sqlType(baseType(cast.type))}` }
            : column;
        }),
      };
    case 'mask':
      return {
        ...layer,
        columns: columns.map((column, at) => {
          const mask = ofColumn(op.columns, column.name);
          return mask ? { ...column, ...described[at], sql: maskSql(column, mask, salt) } : column;
        }),
      };
    case 'filter':
      return {
        ...layer,
        where: [...layer.where, ...op.where.map((condition) => conditionSql(find(columns, condition.column), condition))],
      };
    case 'dedupe':
      return deduped(layer, op);
    default:
      return op satisfies never;
  }
}

const find = (columns: readonly Expression[], name: string): Expression =>
  columns.find((column) => column.name === name) ?? { name, type: { kind: 'text' }, nullable: true, sql: quoteIdentifier(name) };

/** One row for each key. What comes after reads the rows that are left, so this makes a FROM item of its own. */
function deduped(layer: Layer, op: Extract<RelationalOp, { op: 'dedupe' }>): Layer {
  const key = op.key.map((name) => sortable(find(layer.columns, name)));
  const by = `${sortable(find(layer.columns, op.by))} ${op.keep === 'greatest' ? 'DESC' : 'ASC'} NULLS LAST`;
  const inner = selectText(
    layer,
    layer.columns.map((column) => `${column.sql} AS ${quoteIdentifier(column.name)}`),
    `DISTINCT ON (${key.join(', ')}) `,
  );
  return {
    from: `(${inner} ORDER BY ${[...key, by].join(', ')}) AS deduped`,
    where: [],
    columns: layer.columns.map((column) => ({ ...column, sql: quoteIdentifier(column.name) })),
  };
}

const sortable = ({ sql, type }: Expression): string => (characters.has(baseType(type).kind) ? `(${sql}) COLLATE "C"` : `(${sql})`);

function selectText({ from, where }: Layer, columns: readonly string[], distinct = ''): string {
  return `SELECT ${distinct}${columns.join(', ')} FROM ${from}${where.length > 0 ? ` WHERE ${where.map((condition) => `(${condition})`).join(' AND ')}` : ''}`;
}

/** Batches are read from COPY BINARY; what has no binary form that can be read here comes as its text. */
const onWire = (column: Expression, format: WireFormat): string =>
  format === 'batches' && formOf(column.type) === 'text' ? textOf(column) : column.sql;
