import { outputColumns, type RelationalOp, type RowSchema, type Step, type StepOptions, type Transform } from '@millrace/core/runtime';
import {
  changesStep,
  columnNamed,
  eachBatch,
  invalid,
  isChanges,
  type OnlyColumnsOf,
  rowsOfStep,
  transformStep,
} from '../transform-step.ts';

/** A row with some of its columns under other names. */
export type Renamed<Row, Names> = {
  readonly [Name in keyof Row as Name extends keyof Names ? (Names[Name] extends string ? Names[Name] : Name) : Name]: Row[Name];
};

/** Gives columns other names, and leaves the others as they are: `rename(orders, { id: 'order_id' })`. */
export function rename<Row, const Names extends Readonly<Record<string, string>>>(
  rows: Step<Row, 'rows'>,
  names: Names & { readonly [Name in Exclude<keyof Names, keyof Row>]: never },
  options?: StepOptions,
): Step<Renamed<Row, Names>, 'rows'>;
/** Of tables of a stream: `rename(changes, { orders: { id: 'order_id' } })`. */
export function rename<
  Tables,
  const Names extends { readonly [Name in keyof Tables]?: { readonly [Column in keyof Tables[Name]]?: string } },
>(
  changes: Step<Tables, 'changes'>,
  names: Names & OnlyColumnsOf<Names, Tables>,
  options?: StepOptions,
): Step<{ readonly [Name in keyof Tables]: Name extends keyof Names ? Renamed<Tables[Name], Names[Name]> : Tables[Name] }, 'changes'>;
export function rename(
  input: Step<unknown, 'rows'> | Step<unknown, 'changes'>,
  names: Readonly<Record<string, string>> | Readonly<Record<string, Readonly<Record<string, string>>>>,
  options: StepOptions = {},
): Step<never, never> {
  if (isChanges(input))
    return changesStep('rename', input, names as Readonly<Record<string, Readonly<Record<string, string>>>>, renameTransform, options);
  return transformStep(input, renameTransform(rowsOfStep(input), names as Readonly<Record<string, string>>), options);
}

function renameTransform(input: RowSchema, names: Readonly<Record<string, string>>): Transform {
  for (const name of Object.keys(names)) columnNamed('rename', input, name);
  const op: RelationalOp = { op: 'rename', columns: { ...names } };
  const output = (rows: RowSchema): RowSchema => ({
    columns: outputColumns(op, rows.columns),
    ...(rows.key && { key: rows.key.map((name) => (Object.hasOwn(names, name) ? names[name]! : name)) }),
  });
  const seen = new Set<string>();
  for (const { name } of output(input).columns) {
    if (seen.has(name))
      throw invalid(`rename: two columns would be called "${name}".`, 'Choose another name, or select() one of them away before.');
    seen.add(name);
  }
  return Object.freeze({
    name: 'rename',
    description: { columns: { ...names } },
    lane: 'columns',
    relational: op,
    output,
    start: eachBatch((schema) => {
      for (const name of Object.keys(names)) columnNamed('rename', schema, name);
      const out = output(schema);
      return (batch) => ({ schema: out, rowCount: batch.rowCount, vectors: batch.vectors });
    }),
  } satisfies Transform);
}
