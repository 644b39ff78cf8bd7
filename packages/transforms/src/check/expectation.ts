import { type Duration, milliseconds, type Scalar } from '@millrace/core/runtime';
import { invalid } from '../transform-step.ts';

/** What must be true of rows: one rule, over columns of the rows or over the rows as a whole. */
export interface Expectation<out Column extends string = string> {
  readonly kind: 'expectation';
  /** `not null: email` */
  readonly name: string;
  readonly severity: 'warn' | 'fail';
  readonly columns: readonly Column[];
  readonly rule: Rule;
  /** The same, but where it does not hold the load goes on and the run says so. */
  warn(): Expectation<Column>;
}

export type Rule =
  | { readonly rule: 'not null' }
  | { readonly rule: 'unique' }
  | { readonly rule: 'accepted'; readonly values: readonly Scalar[] }
  | { readonly rule: 'range'; readonly min: Scalar | null; readonly max: Scalar | null }
  | { readonly rule: 'row count'; readonly min: number | null; readonly max: number | null }
  | { readonly rule: 'freshness'; readonly within: Duration };

/** No NULL in the column. */
export const notNull = <const Column extends string>(column: Column): Expectation<Column> => expectation([column], { rule: 'not null' });

/** No two rows agree in the column, or in all of several. Rows with NULL there do not count, as in SQL. */
export function unique<const Column extends string>(...columns: readonly [Column, ...Column[]]): Expectation<Column> {
  return expectation(columns, { rule: 'unique' });
}

/** Every value is one of these, or NULL: `accepted('currency', ['EUR', 'USD'])`. */
export function accepted<const Column extends string>(column: Column, values: readonly Scalar[]): Expectation<Column> {
  if (values.length === 0) throw invalid(`accepted("${column}"): the list is empty.`, 'Name the values that may stand there.');
  return expectation([column], { rule: 'accepted', values: [...values] });
}

/** Every value lies between these, both included, or is NULL. Numerics are compared digit by digit: `range('total', { min: '0' })`. */
export function range<const Column extends string>(
  column: Column,
  bounds: { readonly min?: Scalar; readonly max?: Scalar },
): Expectation<Column> {
  const { min = null, max = null } = bounds;
  if (min === null && max === null) throw invalid(`range("${column}"): there are no bounds.`, 'Give min, max, or both.');
  return expectation([column], { rule: 'range', min, max });
}

/** As many rows as this in all, both included: `rowCount({ min: 1 })`. */
export function rowCount(bounds: { readonly min?: number; readonly max?: number }): Expectation<never> {
  const { min = null, max = null } = bounds;
  if (min === null && max === null) throw invalid('rowCount: there are no bounds.', 'Give min, max, or both.');
  for (const bound of [min, max]) {
    if (bound !== null && !(Number.isSafeInteger(bound) && bound >= 0))
      throw invalid(`rowCount: ${bound} is not a number of rows.`, 'Use a whole number from 0.');
  }
  return expectation([], { rule: 'row count', min, max });
}

/** The newest value is no older than this: `freshness('updated_at', '2d')`. No rows, or only NULL, is not fresh. */
export function freshness<const Column extends string>(column: Column, within: Duration): Expectation<Column> {
  milliseconds(within);
  return expectation([column], { rule: 'freshness', within });
}

function expectation<Column extends string>(
  columns: readonly Column[],
  rule: Rule,
  severity: 'warn' | 'fail' = 'fail',
): Expectation<Column> {
  const name = [rule.rule, columns.join(', ')].filter((part) => part !== '').join(': ');
  return Object.freeze({
    kind: 'expectation',
    name,
    severity,
    columns: Object.freeze([...columns]),
    rule: Object.freeze(rule),
    warn: () => expectation(columns, rule, 'warn'),
  });
}
