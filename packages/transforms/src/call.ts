import { type Argument, nameParts, type SqlConnection, type Step, type StepOptions, step } from '@millrace/core/runtime';
import { argument } from './statement.ts';
import { invalid } from './transform-step.ts';

export interface CallOptions extends StepOptions {
  /** In the order of the procedure's parameters. */
  readonly args?: readonly Argument[];
  /** `true` by default: called once. `false` for a procedure that commits by itself: at least once. */
  readonly transaction?: boolean;
}

/** Calls a stored procedure: `call(warehouse, 'analytics.refresh_daily_sales', { args: [run.date], after: [copied] })`. */
export function call(connection: SqlConnection, procedure: string, options: CallOptions = {}): Step<never, 'nothing'> {
  const { args = [], transaction = true, ...rest } = options;
  if (nameParts(procedure) === null) {
    throw invalid(
      `call: ${JSON.stringify(procedure)} is not the name of a procedure.`,
      "Write its name, with its schema where it has one: 'analytics.refresh'.",
    );
  }
  const values = args.map((value) => argument('call', value));
  return step('nothing', {
    input: null,
    schema: null,
    work: { kind: 'execute', request: { kind: 'call', connection, procedure, args: values, transaction } },
    options: rest,
  });
}
