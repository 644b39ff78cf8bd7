import { outputColumns, type RelationalOp, type RowSchema, type Step, type StepOptions, type Transform } from '@millrace/core/runtime';
import { columnNamed, eachBatch, invalid, rowsOfStep, transformStep } from '../transform-step.ts';

/** Keeps these columns, in this order: `select(orders, ['id', 'total'])`. */
export function select<Row, Name extends keyof Row & string>(
  rows: Step<Row, 'rows'>,
  columns: readonly Name[],
  options: StepOptions = {},
): Step<Pick<Row, Name>, 'rows'> {
  return transformStep(rows, selectTransform(rowsOfStep(rows), columns), options);
}

function selectTransform(input: RowSchema, columns: readonly string[]): Transform {
  for (const name of columns) columnNamed('select', input, name);
  if (columns.length === 0) throw invalid('select: no column is left.', 'Name at least one.');
  if (new Set(columns).size < columns.length) throw invalid('select: a column is named twice.', 'Name each column once.');
  const op: RelationalOp = { op: 'select', columns: [...columns] };
  const output = (rows: RowSchema): RowSchema => ({
    columns: outputColumns(op, rows.columns),
    ...(rows.key?.every((name) => columns.includes(name)) && { key: rows.key }),
  });
  return Object.freeze({
    name: 'select',
    description: { columns: [...columns] },
    lane: 'columns',
    relational: op,
    output,
    start: eachBatch((schema) => {
      const places = columns.map((name) => columnNamed('select', schema, name));
      const out = output(schema);
      return (batch) => ({ schema: out, rowCount: batch.rowCount, vectors: places.map((place) => batch.vectors[place]!) });
    }),
  } satisfies Transform);
}
