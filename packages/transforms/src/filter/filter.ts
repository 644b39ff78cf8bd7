import {
  MillraceError,
  RowReader,
  type RowSchema,
  type Step,
  type StepOptions,
  shown,
  type Transform,
  takeRows,
} from '@millrace/core/runtime';
import { changesStep, eachBatch, isChanges, type RowStepOptions, reject, rowsOfStep, transformStep } from '../transform-step.ts';
import { type ColumnCondition, conditionsOf, rowTest } from './condition.ts';

/**
 * Leaves out rows. As conditions it can be done by the source or by DuckDB, and no row becomes JavaScript:
 * `filter(orders, [['total', '>', '0'], ['currency', 'in', ['EUR', 'USD']], ['note', 'not null']])` keeps rows for which all
 * hold; a comparison with NULL never does. Text is compared by code points, and numerics digit by digit.
 * As a function it sees rows: `filter(orders, (order) => order.total !== order.paid)`.
 */
export function filter<Row>(rows: Step<Row, 'rows'>, keep: (row: Row) => boolean, options?: RowStepOptions): Step<Row, 'rows'>;
export function filter<Row>(
  rows: Step<Row, 'rows'>,
  keep: readonly ColumnCondition<keyof Row & string>[],
  options?: RowStepOptions,
): Step<Row, 'rows'>;
/**
 * Of tables of a stream: `filter(changes, { orders: [['test', '=', false]] })`. A row that an update takes out of the filter is deleted at
 * the target, and one that it takes in is inserted.
 */
export function filter<Tables>(
  changes: Step<Tables, 'changes'>,
  keep: { readonly [Name in keyof Tables]?: readonly ColumnCondition<keyof Tables[Name] & string>[] | ((row: Tables[Name]) => boolean) },
  options?: StepOptions,
): Step<Tables, 'changes'>;
export function filter(
  input: Step<unknown, 'rows'> | Step<unknown, 'changes'>,
  keep: Keep | object,
  options: RowStepOptions = {},
): Step<never, never> {
  const make = (table: RowSchema, wanted: Keep): Transform =>
    typeof wanted === 'function' ? byFunction(wanted) : byConditions(table, wanted);
  if (isChanges(input)) return changesStep('filter', input, keep as Readonly<Record<string, Keep>>, make, options);
  return transformStep(input, make(rowsOfStep(input), keep as Keep), options);
}

type Keep = ((row: never) => boolean) | readonly ColumnCondition[];

function byConditions(input: RowSchema, keep: readonly ColumnCondition[]): Transform {
  const where = conditionsOf(input, keep);
  return Object.freeze({
    name: 'filter',
    description: { where },
    lane: 'columns',
    relational: { op: 'filter', where },
    output: (rows) => rows,
    start: eachBatch((schema) => {
      const open = rowTest(schema, where);
      return (batch) => kept(batch, open(batch));
    }),
  } satisfies Transform);
}

function byFunction(keep: (row: never) => boolean): Transform {
  return Object.freeze({
    name: 'filter',
    description: { keep: String(keep) },
    lane: 'rows',
    output: (rows) => rows,
    start: eachBatch((schema, context) => {
      const reader = new RowReader(schema);
      return (batch, place) => {
        const rows = reader.open(batch);
        return kept(batch, (index) => {
          try {
            const answer: unknown = keep(rows.row(index) as never);
            if (typeof answer === 'boolean') return answer;
            throw notAnAnswer(answer);
          } catch (error) {
            reject(context, batch, index, place, error);
            return false;
          }
        });
      };
    }),
  } satisfies Transform);
}

function kept(batch: Parameters<typeof takeRows>[0], test: (row: number) => boolean): ReturnType<typeof takeRows> {
  const rows = new Int32Array(batch.rowCount);
  let count = 0;
  for (let row = 0; row < batch.rowCount; row++) if (test(row)) rows[count++] = row;
  return count === batch.rowCount ? batch : takeRows(batch, rows.slice(0, count));
}

function notAnAnswer(answer: unknown): MillraceError {
  if (answer instanceof Promise) answer.catch(() => {});
  return new MillraceError('FUNCTION_FAILED', {
    message: `The function of filter returned ${answer instanceof Promise ? 'a Promise' : shown(answer)}, which is neither true nor false.`,
    remedy: 'Return true to keep the row and false to leave it out; the function is not awaited.',
  });
}
