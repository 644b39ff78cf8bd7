import { MillraceError, RowReader, type RowSchema, type Step, shown, type Transform, takeRows } from '@millrace/core/runtime';
import { eachBatch, type RowStepOptions, reject, rowsOfStep, transformStep } from '../transform-step.ts';
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
export function filter(
  rows: Step<unknown, 'rows'>,
  keep: ((row: never) => boolean) | readonly ColumnCondition[],
  options: RowStepOptions = {},
): Step<never, 'rows'> {
  return transformStep(rows, typeof keep === 'function' ? byFunction(keep) : byConditions(rowsOfStep(rows), keep), options);
}

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
