import type { ColumnBatch } from '@millrace/core/runtime';
import {
  type CheckResult,
  MillraceError,
  type OnBadRow,
  type RowSchema,
  rowJson,
  type Step,
  type StepOptions,
  type StreamTable,
  step,
  type Transform,
  type TransformContext,
} from '@millrace/core/runtime';

export interface RowStepOptions extends StepOptions {
  /** What happens to a row that the step cannot do: `'fail'` (default) stops the load; else it is set aside. */
  readonly onBadRow?: OnBadRow;
}

/** A step that makes other rows of the rows of its input. @throws PIPELINE_INVALID where it cannot work on such rows */
export function transformStep<Row, Out extends 'rows' = 'rows'>(
  input: Step<unknown, 'rows'>,
  transform: Transform,
  options: RowStepOptions,
): Step<Row, Out> {
  const { onBadRow = 'fail', ...rest } = options;
  return step('rows' as Out, {
    input,
    schema: transform.output(rowsOfStep(input)),
    work: { kind: 'transform', transform, onBadRow },
    options: rest,
  });
}

/**
 * A step that changes the rows of some tables of a stream: `make` gives the transform of each table named in `byTable`.
 *
 * @throws PIPELINE_INVALID for a table that the stream does not have
 */
export function changesStep<Tables, Out extends 'changes', Options>(
  name: string,
  input: Step<unknown, 'changes'>,
  byTable: Readonly<Record<string, Options>>,
  make: (table: RowSchema, options: Options) => Transform,
  options: StepOptions,
): Step<Tables, Out> {
  const before = input.tables ?? {};
  const transforms: Record<string, Transform> = {};
  const tables: Record<string, StreamTable> = { ...before };
  for (const [table, wanted] of Object.entries(byTable)) {
    const schema = Object.hasOwn(before, table) ? before[table] : undefined;
    if (!schema) throw invalid(`${name}: the stream has no table "${table}".`, `Its tables are ${Object.keys(before).join(', ')}.`);
    const transform = make(schema, wanted);
    transforms[table] = transform;
    tables[table] = { ...transform.output(schema), ...(schema.name !== undefined && { name: schema.name }) };
  }
  return step('changes' as Out, {
    input,
    schema: null,
    tables: Object.freeze(tables),
    work: { kind: 'transform-changes', name, transforms: Object.freeze(transforms) },
    options,
  });
}

/** Refuses what is said of tables that the stream does not have, on their own token. */
export type OnlyTables<Wanted, Tables> = { readonly [Name in Exclude<keyof Wanted, keyof Tables>]: never };
/** And of columns that a table does not have. */
export type OnlyColumnsOf<Wanted, Tables> = {
  readonly [Name in keyof Wanted]: Name extends keyof Tables
    ? { readonly [Column in Exclude<keyof Wanted[Name], keyof Tables[Name]>]: never }
    : never;
};

export const isChanges = (step: Step): step is Step<unknown, 'changes'> => step.out === 'changes';

export function rowsOfStep(input: Step): RowSchema {
  if (input.schema) return input.schema;
  throw invalid('The step reads from one that has no rows.', 'Give it an extract or another transform.');
}

export const invalid = (message: string, remedy: string): MillraceError => new MillraceError('PIPELINE_INVALID', { message, remedy });

/** Where in its split the first row of a batch stands, counted at this step. */
export interface Place {
  readonly split: string;
  readonly ordinal: number;
}

export type BatchWork = (batch: ColumnBatch, place: Place) => ColumnBatch | Promise<ColumnBatch>;

/** `Transform.start` for a transform that needs nothing but the batch before it. */
export function eachBatch(prepare: (input: RowSchema, context: TransformContext) => BatchWork | Promise<BatchWork>): Transform['start'] {
  return async (input, context) => {
    const work = await prepare(input, context);
    return {
      split(split) {
        let ordinal = 0;
        return {
          apply(batch) {
            const place = { split, ordinal };
            ordinal += batch.rowCount;
            return work(batch, place);
          },
        };
      },
      finish: async (): Promise<readonly CheckResult[]> => [],
    };
  };
}

/** Sets a row of the batch aside, or throws what went wrong where the step does not allow that. */
export function reject(context: TransformContext, batch: ColumnBatch, row: number, place: Place, thrown: unknown): void {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  context.reject({ split: place.split, ordinal: place.ordinal + row, row: rowJson(batch, row), error });
}

/** @throws PIPELINE_INVALID with the columns there are */
export function columnNamed(step: string, input: RowSchema, name: string): number {
  const place = input.columns.findIndex((column) => column.name === name);
  if (place >= 0) return place;
  throw invalid(`${step}: there is no column "${name}".`, `The columns are ${input.columns.map((column) => column.name).join(', ')}.`);
}
