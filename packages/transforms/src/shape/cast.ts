import {
  type Column,
  type Columns,
  type ColumnType,
  inColumn,
  isMillraceError,
  outputColumns,
  type RelationalOp,
  type RowSchema,
  type Step,
  sameType,
  type Transform,
  takeRows,
  typeName,
  type ValueOf,
  type Vector,
  valuesVector,
} from '@millrace/core/runtime';
import { columnNamed, eachBatch, invalid, type RowStepOptions, reject, rowsOfStep, transformStep } from '../transform-step.ts';
import { castValue } from './cast-value.ts';

export interface CastOptions extends RowStepOptions {
  /** A value that does not fit: `'fail'` makes its row a bad one (see `onBadRow`), `'null'` puts NULL in its place. `'fail'` by default. */
  readonly onError?: 'fail' | 'null';
}

/** A row with some of its columns of other types. NULL stays NULL. */
export type Cast<Row, C extends Columns> = {
  readonly [Name in keyof Row]: Name extends keyof C ? ValueOf<C[Name]> | (null extends Row[Name] ? null : never) : Row[Name];
};

/**
 * Changes the types of columns, also where that may lose something: `cast(orders, { id: int8(), total: numeric(12, 2) })`.
 * Values become what `value::type` makes of them in Postgres: numbers are rounded, text is cut to `varchar(n)`, timestamps
 * become dates in UTC.
 */
export function cast<Row, const C extends Columns>(
  rows: Step<Row, 'rows'>,
  columns: C & { readonly [Name in Exclude<keyof C, keyof Row>]: never },
  options?: CastOptions & { readonly onError?: 'fail' },
): Step<Cast<Row, C>, 'rows'>;
export function cast<Row, const C extends Columns>(
  rows: Step<Row, 'rows'>,
  columns: C & { readonly [Name in Exclude<keyof C, keyof Row>]: never },
  options: CastOptions & { readonly onError: 'null' },
): Step<Cast<Row, { readonly [Name in keyof C]: Column<ValueOf<C[Name]> | null> }>, 'rows'>;
export function cast(rows: Step<unknown, 'rows'>, columns: Columns, options: CastOptions = {}): Step<never, 'rows'> {
  const { onError = 'fail', ...rest } = options;
  const types = Object.fromEntries(Object.entries(columns).map(([name, { type }]) => [name, { type, onError }]));
  return transformStep(rows, castTransform(rowsOfStep(rows), { op: 'cast', columns: types }), rest);
}

function castTransform(input: RowSchema, op: Extract<RelationalOp, { op: 'cast' }>): Transform {
  const output = (rows: RowSchema): RowSchema => ({ columns: outputColumns(op, rows.columns), ...(rows.key && { key: rows.key }) });
  const casts = (schema: RowSchema) =>
    Object.entries(op.columns).map(([name, { type, onError }]) => {
      const place = columnNamed('cast', schema, name);
      return { name, place, type, onError, work: workFor(name, schema.columns[place]!.type, type) };
    });
  casts(input);
  return Object.freeze({
    name: 'cast',
    description: {
      columns: Object.fromEntries(Object.entries(op.columns).map(([name, { type, onError }]) => [name, { type: typeName(type), onError }])),
    },
    lane: 'columns',
    relational: op,
    output,
    start: eachBatch((schema, context) => {
      const columns = casts(schema);
      const out = output(schema);
      return (batch, place) => {
        const vectors: Vector[] = [...batch.vectors];
        const bad = new Map<number, unknown>();
        for (const column of columns) {
          const from = batch.vectors[column.place]!;
          if (sameType(from.type, column.type)) continue;
          const values = new Array<unknown>(batch.rowCount);
          for (let row = 0; row < batch.rowCount; row++) {
            try {
              const value = from.get(row);
              values[row] = value === null ? null : column.work(value);
            } catch (error) {
              values[row] = null;
              const isFine = column.onError === 'null' && isMillraceError(error) && error.code === 'TYPE_MISMATCH';
              if (!isFine && !bad.has(row)) bad.set(row, inColumn(column.name, error));
            }
          }
          vectors[column.place] = valuesVector(column.type, values);
        }
        const made = { schema: out, rowCount: batch.rowCount, vectors };
        if (bad.size === 0) return made;
        for (const row of [...bad.keys()].sort((a, b) => a - b)) reject(context, batch, row, place, bad.get(row));
        return takeRows(made, Int32Array.from(allBut(bad, batch.rowCount)));
      };
    }),
  } satisfies Transform);
}

function workFor(name: string, from: ColumnType, to: ColumnType): (value: unknown) => unknown {
  const work = castValue(from, to);
  if (work) return work;
  throw invalid(
    `cast: "${name}" is ${typeName(from)}, and there is no cast to ${typeName(to)}.`,
    'Use map() and say in its function what you mean.',
  );
}

function* allBut(left: ReadonlyMap<number, unknown>, count: number): Generator<number> {
  for (let row = 0; row < count; row++) if (!left.has(row)) yield row;
}
