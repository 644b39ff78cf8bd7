import {
  baseType,
  type ColumnBatch,
  type ColumnType,
  type Comparison,
  type Condition,
  comparer,
  conform,
  inColumn,
  isMillraceError,
  type RowSchema,
  type Scalar,
  textCodec,
  typeName,
  type Vector,
} from '@millrace/core/runtime';
import { columnNamed, invalid } from '../transform-step.ts';

/** `['total', '>', '0']`, `['currency', 'in', ['EUR']]`, `['note', 'null']` */
export type ColumnCondition<Column extends string = string> =
  | readonly [column: Column, is: Comparison, value: Scalar]
  | readonly [column: Column, is: 'in' | 'not in', values: readonly Scalar[]]
  | readonly [column: Column, is: 'null' | 'not null'];

const comparisons: readonly string[] = ['=', '<>', '<', '<=', '>', '>='];

/**
 * The conditions as a plan carries them: values as Postgres prints them (booleans stay), so that a SQL literal made of one
 * takes its type from the column beside it.
 *
 * @throws PIPELINE_INVALID for an unknown column, an operator the type does not have, or a value that is none of the type
 */
export function conditionsOf(input: RowSchema, conditions: readonly ColumnCondition[]): Condition[] {
  return conditions.map((condition) => {
    const [column, is, value] = condition;
    const { type } = input.columns[columnNamed('filter', input, column)]!;
    if (is === 'null' || is === 'not null') return { column, is };
    const isList = is === 'in' || is === 'not in';
    if (!isList && !comparisons.includes(is)) {
      throw invalid(
        `filter: "${String(is)}" is not a comparison.`,
        `Use one of ${[...comparisons, 'in', 'not in', 'null', 'not null'].join(', ')}.`,
      );
    }
    if (!comparer(type)) {
      throw invalid(
        `filter: "${column}" is ${typeName(type)}, whose values are not compared here.`,
        'Use a function: filter(rows, (row) => …).',
      );
    }
    if (isList !== Array.isArray(value))
      throw invalid(
        `filter: "${column}" ${is} needs ${isList ? 'a list' : 'one value'}.`,
        `Write ['${column}', '${is}', ${isList ? '[…]' : '…'}].`,
      );
    return isList
      ? { column, is, value: (value as readonly Scalar[]).map((item) => scalar(column, type, item)) }
      : { column, is, value: scalar(column, type, value as Scalar) };
  });
}

function scalar(column: string, type: ColumnType, value: Scalar): Scalar {
  try {
    const codec = textCodec(unbounded(type));
    const fitting = conform(unbounded(type))(value);
    return typeof fitting === 'boolean' ? fitting : codec.print(fitting);
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    throw invalid(`filter on "${column}": ${error.message}`, error.remedy);
  }
}

/** A value to compare with need not fit into the column: `['total', '>', '0.005']` makes sense for numeric(12, 2). */
export function unbounded(type: ColumnType): ColumnType {
  const base = baseType(type);
  switch (base.kind) {
    case 'numeric':
    case 'varchar':
    case 'time':
    case 'timetz':
    case 'timestamp':
    case 'timestamptz':
      return { kind: base.kind };
    case 'char':
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

/** True for a row of the batch it was opened with. */
export type RowTest = (row: number) => boolean;

/** All conditions at once, over the vectors of a batch. */
export function rowTest(input: RowSchema, conditions: readonly Condition[]): (batch: ColumnBatch) => RowTest {
  const tests = conditions.map((condition) => {
    const place = columnNamed('filter', input, condition.column);
    return { place, name: condition.column, test: conditionTest(input.columns[place]!.type, condition) };
  });
  return (batch) => {
    const columns = tests.map(({ place, name, test }) => ({ name, vector: batch.vectors[place]!, test }));
    return (row) => {
      for (const { name, vector, test } of columns) if (!test(knownValue(vector, row, name))) return false;
      return true;
    };
  };
}

function knownValue(vector: Vector, row: number, name: string): unknown {
  try {
    return vector.get(row);
  } catch (error) {
    throw inColumn(name, error);
  }
}

function conditionTest(type: ColumnType, condition: Condition): (value: unknown) => boolean {
  if (!('value' in condition)) {
    const wanted = condition.is === 'null';
    return (value) => (value === null) === wanted;
  }
  const compare = comparer(type);
  if (!compare) throw invalid(`filter: "${condition.column}" is ${typeName(type)}, which has no order.`, 'Filter by a function.');
  const parsed = (value: Scalar): unknown => {
    const fitting = conform(unbounded(type))(value);
    // int2 and int4 are numbers in rows; what a condition names may be larger.
    return typeof fitting === 'bigint' && baseType(type).kind !== 'int8' ? Number(fitting) : fitting;
  };
  if (condition.is === 'in' || condition.is === 'not in') {
    const values = condition.value.map(parsed);
    const wanted = condition.is === 'in';
    return (value) => value !== null && values.some((item) => compare(value, item) === 0) === wanted;
  }
  const other = parsed(condition.value as Scalar);
  const holds = signs[condition.is];
  return (value) => value !== null && holds(compare(value, other));
}

const signs: Readonly<Record<Comparison, (sign: number) => boolean>> = {
  '=': (sign) => sign === 0,
  '<>': (sign) => sign !== 0,
  '<': (sign) => sign < 0,
  '<=': (sign) => sign <= 0,
  '>': (sign) => sign > 0,
  '>=': (sign) => sign >= 0,
};
