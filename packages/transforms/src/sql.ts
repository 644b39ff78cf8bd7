import { type Argument, type BoundStatement, type SqlConnection, type Step, type StepOptions, step } from '@millrace/core/runtime';
import { boundStatement } from './statement.ts';
import { invalid } from './transform-step.ts';

export interface SqlOptions extends StepOptions {
  /** Values for `$1`, `$2`, … of a single statement: `[run.date]`. They are bound, never written into the text. */
  readonly args?: readonly Argument[];
  /**
   * `true` (default): the statements run in one transaction, together with a note that they have run, so that a repeated
   * attempt does nothing. `false` for what cannot run in a transaction (VACUUM, CREATE INDEX CONCURRENTLY): at least once.
   */
  readonly transaction?: boolean;
}

/**
 * Runs SQL at a database: `sql(warehouse, 'DELETE FROM staging WHERE day < $1', { args: [run.date], after: [copied] })`.
 * Several statements come as a list, each text alone or `{ text, values }`.
 */
export function sql(
  connection: SqlConnection,
  statements: string | readonly (string | BoundStatement)[],
  options: SqlOptions = {},
): Step<never, 'nothing'> {
  const { args = [], transaction = true, ...rest } = options;
  const list = typeof statements === 'string' ? [{ text: statements, values: args }] : statements;
  if (list.length === 0) throw invalid('sql: there is no statement.', 'Write at least one.');
  if (typeof statements !== 'string' && args.length > 0) {
    throw invalid('sql: "args" are for a single statement.', "In a list, write { text: '…', values: [run.date] }.");
  }
  const bound = list.map((one) => (typeof one === 'string' ? boundStatement('sql', one, []) : boundStatement('sql', one.text, one.values)));
  return step('nothing', {
    input: null,
    schema: null,
    work: { kind: 'execute', request: { kind: 'sql', connection, statements: bound, transaction } },
    options: rest,
  });
}
