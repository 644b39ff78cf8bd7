import {
  type Mask,
  outputColumns,
  type RelationalOp,
  type RowSchema,
  type Step,
  type StepOptions,
  type Transform,
  textCodec,
  type Vector,
  valuesVector,
} from '@millrace/core/runtime';
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
import { maskText } from './mask-value.ts';

/** A row with some of its columns masked: they are text. */
export type Masked<Row, Masks> = {
  readonly [Name in keyof Row]: Name extends keyof Masks
    ? string | (null extends Row[Name] ? null : never) | (Masks[Name] extends { readonly with: null } ? null : never)
    : Row[Name];
};

/**
 * Hides what is personal: `mask(customers, { email: hash({ salt: secret('PII_SALT') }), phone: redact(), name: truncate(1) })`.
 * A mask sees the value's text as COPY prints it, and its column becomes text; NULL stays NULL. Postgres and DuckDB do the
 * same where they can, so that the values never leave the database.
 */
export function mask<Row, const Masks extends Readonly<Record<string, Mask>>>(
  rows: Step<Row, 'rows'>,
  masks: Masks & { readonly [Name in Exclude<keyof Masks, keyof Row>]: never },
  options?: StepOptions,
): Step<Masked<Row, Masks>, 'rows'>;
/** In the changes of a capture, table by table: `mask(changes, { customers: { email: hash(…) } })`. Keys may be masked: equal ones stay equal. */
export function mask<Tables, const Masks extends MasksByTable<Tables>>(
  changes: Step<Tables, 'changes'>,
  masks: Masks & OnlyColumnsOf<Masks, Tables>,
  options?: StepOptions,
): Step<{ readonly [Name in keyof Tables]: Name extends keyof Masks ? Masked<Tables[Name], Masks[Name]> : Tables[Name] }, 'changes'>;
export function mask(
  input: Step<unknown, 'rows'> | Step<unknown, 'changes'>,
  masks: Readonly<Record<string, Mask>> | Readonly<Record<string, Readonly<Record<string, Mask>>>>,
  options: StepOptions = {},
): Step<never, never> {
  const make = (table: RowSchema, columns: Readonly<Record<string, Mask>>): Transform =>
    maskTransform(table, { op: 'mask', columns: { ...columns } });
  if (isChanges(input)) return changesStep('mask', input, masks as Readonly<Record<string, Readonly<Record<string, Mask>>>>, make, options);
  return transformStep(input, make(rowsOfStep(input), masks as Readonly<Record<string, Mask>>), options);
}

export type MasksByTable<Tables> = { readonly [Name in keyof Tables]?: { readonly [Column in keyof Tables[Name]]?: Mask } };

function maskTransform(input: RowSchema, op: Extract<RelationalOp, { op: 'mask' }>): Transform {
  for (const [name, { mask }] of Object.entries(op.columns)) {
    columnNamed('mask', input, name);
    if (!['hash', 'redact', 'tokenize', 'truncate'].includes(mask))
      throw invalid(`mask: "${name}" has no mask.`, 'Use hash, redact, tokenize or truncate.');
  }
  const output = (rows: RowSchema): RowSchema => ({ columns: outputColumns(op, rows.columns), ...(rows.key && { key: rows.key }) });
  return Object.freeze({
    name: 'mask',
    description: { columns: op.columns },
    lane: 'columns',
    relational: op,
    output,
    start: eachBatch(async (schema, context) => {
      const out = output(schema);
      const columns = await Promise.all(
        Object.entries(op.columns).map(async ([name, mask]) => {
          const place = columnNamed('mask', schema, name);
          return { place, print: textCodec(schema.columns[place]!.type).print, work: await maskText(mask, context) };
        }),
      );
      return (batch) => {
        const vectors: Vector[] = [...batch.vectors];
        for (const { place, print, work } of columns) {
          const from = batch.vectors[place]!;
          const values = Array.from({ length: batch.rowCount }, (_, row) => {
            const value = from.get(row);
            return value === null ? null : work(print(value));
          });
          vectors[place] = valuesVector({ kind: 'text' }, values);
        }
        return { schema: out, rowCount: batch.rowCount, vectors };
      };
    }),
  } satisfies Transform);
}
