import {
  comparer,
  MillraceError,
  type RelationalOp,
  type RowSchema,
  type Step,
  type StepOptions,
  type Transform,
  typeName,
} from '@millrace/core/runtime';
import { columnNamed, invalid, rowsOfStep, transformStep } from '../transform-step.ts';

export interface DedupeOptions<Column extends string> extends StepOptions {
  /** Rows that agree in these columns are the same. */
  readonly key: readonly Column[];
  /** Of several rows the one with the greatest (or least) value here stays; NULL loses to everything. */
  readonly by: Column;
  /** `'greatest'` by default. */
  readonly keep?: 'greatest' | 'least';
}

/**
 * One row for each key: `dedupe(orders, { key: ['id'], by: 'updated_at' })`. It has to see all rows at once, so the source's
 * own query does it: put it directly after the extract, before any function, or let the target merge by key instead.
 */
export function dedupe<Row>(rows: Step<Row, 'rows'>, options: DedupeOptions<keyof Row & string>): Step<Row, 'rows'> {
  const { key, by, keep = 'greatest', ...rest } = options;
  return transformStep(rows, dedupeTransform(rowsOfStep(rows), { op: 'dedupe', key: [...key], by, keep }), rest);
}

function dedupeTransform(input: RowSchema, op: Extract<RelationalOp, { op: 'dedupe' }>): Transform {
  if (op.key.length === 0) throw invalid('dedupe: the key has no columns.', 'Name the columns in which rows must differ.');
  for (const name of op.key) columnNamed('dedupe', input, name);
  const by = input.columns[columnNamed('dedupe', input, op.by)]!;
  if (!comparer(by.type))
    throw invalid(`dedupe: values of "${op.by}" (${typeName(by.type)}) have no order.`, 'Choose a column such as a timestamp or a number.');
  return Object.freeze({
    name: 'dedupe',
    description: { key: op.key, by: op.by, keep: op.keep },
    lane: 'columns',
    relational: op,
    wholeInput: true,
    output: (rows) => rows,
    async start() {
      throw new MillraceError('UNSUPPORTED', {
        message: 'dedupe must see all rows at once, and only the source can do that.',
        remedy: 'Put it directly after the extract, before any function, or let the target merge by key.',
      });
    },
  } satisfies Transform);
}
