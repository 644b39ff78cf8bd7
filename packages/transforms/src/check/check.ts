import {
  type CheckResult,
  type QueryExpectation,
  type RowSchema,
  type SqlConnection,
  type Step,
  type StepOptions,
  step,
  type Transform,
} from '@millrace/core/runtime';
import { invalid, rowsOfStep, transformStep } from '../transform-step.ts';
import type { Expectation } from './expectation.ts';
import type { QueryCheck } from './query.ts';
import { startCheck } from './running-check.ts';
import { type TableExpectations, tableQuery } from './table-query.ts';
import { checkExpectation } from './value-test.ts';

/**
 * Lets rows through only where they are as expected. Over rows on their way, all of them are seen before the load commits,
 * and an expectation that does not hold means that nothing is committed:
 *
 *     check(facts, [notNull('order_id'), unique('order_id'), accepted('currency', ['EUR', 'USD']).warn()])
 *
 * Over what is in a database, as a step of its own:
 *
 *     check(warehouse, [on(orderFact, [unique('order_id')]), query('no orphans', 'SELECT …')], { after: [copied] })
 */
export function check<Row>(
  rows: Step<Row, 'rows'>,
  expectations: readonly Expectation<keyof Row & string>[],
  options?: StepOptions,
): Step<Row, 'rows'>;
export function check(
  connection: SqlConnection,
  expectations: readonly (TableExpectations | QueryCheck)[],
  options?: StepOptions,
): Step<never, 'nothing'>;
export function check(
  of: Step<unknown, 'rows'> | SqlConnection,
  expectations: readonly (Expectation | TableExpectations | QueryCheck)[],
  options: StepOptions = {},
): Step {
  if (expectations.length === 0) throw invalid('check: nothing is expected.', "Name at least one expectation, such as notNull('id').");
  if (of.kind === 'step') return transformStep(of, checkTransform(rowsOfStep(of), expectations as readonly Expectation[]), options);
  const queries = (expectations as readonly (TableExpectations | QueryCheck)[]).flatMap((expected) => queriesOf(of, expected));
  return step('nothing', {
    input: null,
    schema: null,
    work: { kind: 'execute', request: { kind: 'check', connection: of, expectations: queries } },
    options,
  });
}

function queriesOf(connection: SqlConnection, expected: TableExpectations | QueryCheck): QueryExpectation[] {
  if (expected.kind === 'table-expectations')
    return expected.expectations.map((expectation) => tableQuery(expected.table, expectation, connection.dialect));
  if (expected.kind !== 'query-check')
    throw invalid('check: at a database an expectation needs its table.', 'Write on(table, [notNull(…)]), or query(name, text).');
  const { name, severity, statement, expect } = expected;
  return [{ name, severity, query: statement, expect }];
}

function checkTransform(input: RowSchema, expectations: readonly Expectation[]): Transform {
  for (const expectation of expectations) {
    if (expectation.kind !== 'expectation')
      throw invalid('check: rows on their way are no table.', 'Name expectations alone: check(rows, [notNull(…)]).');
    checkExpectation(input, expectation);
  }
  return Object.freeze({
    name: 'check',
    description: { expectations: expectations.map(({ name, severity, rule }) => ({ name, severity, ...rule })) },
    lane: 'columns',
    concludes: true,
    output: (rows) => rows,
    async start(schema, context) {
      const running = expectations.map((expectation, number) => startCheck(expectation, schema, context, number));
      return {
        split(split) {
          const seeing = running.map((one) => one.split(split));
          let ordinal = 0;
          return {
            apply(batch) {
              for (const see of seeing) see(batch, ordinal);
              ordinal += batch.rowCount;
              return batch;
            },
          };
        },
        async finish() {
          const results: CheckResult[] = [];
          for (const one of running) results.push(await one.finish());
          return results;
        },
      };
    },
  } satisfies Transform);
}
