import {
  baseType,
  type ColumnSchema,
  comparer,
  conform,
  isMillraceError,
  type RowSchema,
  type Scalar,
  textCodec,
  typeName,
} from '@millrace/core/runtime';
import { unbounded } from '../filter/condition.ts';
import { columnNamed, invalid } from '../transform-step.ts';
import type { Expectation } from './expectation.ts';

/** True where a value breaks the rule. */
export type ValueTest = (value: unknown) => boolean;

/** For rules that look at single values; null for the others. @throws PIPELINE_INVALID where the column cannot have such a rule */
export function valueTest(input: RowSchema, { name, columns, rule }: Expectation): ValueTest | null {
  if (rule.rule === 'not null') return (value) => value === null;
  if (rule.rule !== 'accepted' && rule.rule !== 'range') return null;
  const column = columnOf(input, name, columns[0]!);
  const compare = ordered(name, column);
  if (rule.rule === 'accepted') {
    const values = rule.values.map((value) => comparable(name, column, value));
    return (value) => value !== null && !values.some((item) => compare(value, item) === 0);
  }
  const min = rule.min === null ? null : comparable(name, column, rule.min);
  const max = rule.max === null ? null : comparable(name, column, rule.max);
  return (value) => value !== null && ((min !== null && compare(value, min) < 0) || (max !== null && compare(value, max) > 0));
}

/** All that can be wrong with an expectation before rows come. @throws PIPELINE_INVALID */
export function checkExpectation(input: RowSchema, expectation: Expectation): void {
  const { name, columns, rule } = expectation;
  for (const column of columns) columnOf(input, name, column);
  valueTest(input, expectation);
  if (rule.rule !== 'freshness') return;
  const { type } = columnOf(input, name, columns[0]!);
  if (['date', 'timestamp', 'timestamptz'].includes(baseType(type).kind)) return;
  throw invalid(`check "${name}": ${typeName(type)} tells no moment.`, 'Choose a date, timestamp or timestamptz column.');
}

/** A value of a rule as Postgres prints it, for a parameter beside its column. */
export function printed(name: string, column: ColumnSchema, value: Scalar): string {
  return textCodec(unbounded(column.type)).print(fitting(name, column, value));
}

const columnOf = (input: RowSchema, name: string, column: string): ColumnSchema =>
  input.columns[columnNamed(`check "${name}"`, input, column)]!;

function ordered(name: string, { type }: ColumnSchema): (a: unknown, b: unknown) => number {
  const compare = comparer(type);
  if (compare) return compare;
  throw invalid(`check "${name}": values of ${typeName(type)} are not compared here.`, 'Check it with a query at the database.');
}

/** In the form that the column's own values have. */
function comparable(name: string, column: ColumnSchema, value: Scalar): unknown {
  const made = fitting(name, column, value);
  return typeof made === 'bigint' && baseType(column.type).kind !== 'int8' ? Number(made) : made;
}

function fitting(name: string, column: ColumnSchema, value: Scalar): unknown {
  try {
    return conform(unbounded(column.type))(value);
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    throw invalid(`check "${name}": ${error.message}`, error.remedy);
  }
}
