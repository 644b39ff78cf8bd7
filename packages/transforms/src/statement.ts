import { type Argument, type BoundStatement, isRunValue, shown } from '@millrace/core/runtime';
import { invalid } from './transform-step.ts';

/** A statement with its values, checked. `who` names the function in messages. @throws PIPELINE_INVALID */
export function boundStatement(who: string, text: string, values: readonly Argument[]): BoundStatement {
  if (typeof text !== 'string' || text.trim() === '') throw invalid(`${who}: the statement is empty.`, 'Write the SQL text.');
  return Object.freeze({ text, values: Object.freeze(values.map((value) => argument(who, value))) });
}

/** @throws PIPELINE_INVALID for what a database would have to guess at */
export function argument(who: string, value: Argument): Argument {
  switch (typeof value) {
    case 'string':
    case 'bigint':
    case 'boolean':
      return value;
    case 'number':
      if (Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value))) return value;
      throw invalid(`${who}: the number ${value} is not exact.`, 'Pass a bigint or a string.');
    default:
      if (value === null || isRunValue(value)) return value;
      throw invalid(
        `${who}: ${shown(value)} cannot be an argument.`,
        'Pass text, a number, a bigint, true, false, null or a value of the run such as run.date.',
      );
  }
}
