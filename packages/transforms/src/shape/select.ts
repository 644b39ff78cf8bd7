import { outputColumns, type RelationalOp, type RowSchema, type Step, type StepOptions, type Transform } from '@millrace/core/runtime';
import { changesStep, columnNamed, eachBatch, invalid, isChanges, type OnlyTables, rowsOfStep, transformStep } from '../transform-step.ts';

/** Keeps these columns, in this order: `select(orders, ['id', 'total'])`. */
export function select<Row, Name extends keyof Row & string>(
  rows: Step<Row, 'rows'>,
  columns: readonly Name[],
  options?: StepOptions,
): Step<Pick<Row, Name>, 'rows'>;
/** Of tables of a stream: `select(changes, { customers: ['id', 'country'] })`. The key must be among them. */
export function select<Tables, const Columns extends { readonly [Name in keyof Tables]?: readonly (keyof Tables[Name] & string)[] }>(
  changes: Step<Tables, 'changes'>,
  columns: Columns & OnlyTables<Columns, Tables>,
  options?: StepOptions,
): Step<
  {
    readonly [Name in keyof Tables]: Name extends keyof Columns
      ? Columns[Name] extends readonly (infer Column extends keyof Tables[Name])[]
        ? Pick<Tables[Name], Column>
        : Tables[Name]
      : Tables[Name];
  },
  'changes'
>;
export function select(
  input: Step<unknown, 'rows'> | Step<unknown, 'changes'>,
  columns: readonly string[] | Readonly<Record<string, readonly string[]>>,
  options: StepOptions = {},
): Step<never, never> {
  if (isChanges(input))
    return changesStep('select', input, columns as Readonly<Record<string, readonly string[]>>, selectTransform, options);
  return transformStep(input, selectTransform(rowsOfStep(input), columns as readonly string[]), options);
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
