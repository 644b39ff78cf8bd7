import { MillraceError } from '../error/index.ts';
import type { Column, ValueOf } from './column.ts';
import type { ColumnSchema, RowSchema } from './column-type.ts';

export type Columns = Readonly<Record<string, Column>>;

/** A table as its users declare it, once: row types, DDL, file schemas and checks come from here. */
export interface Table<C extends Columns = Columns> extends RowSchema {
  readonly kind: 'table';
  /** As it was declared: `'orders'` or `'public.orders'`. */
  readonly name: string;
  readonly declared: C;
  readonly columns: readonly ColumnSchema[];
  readonly key?: readonly string[];
  readonly redshift?: RedshiftPlacement;
}

/** How Redshift lays the table out. Other engines ignore it. */
export interface RedshiftPlacement {
  readonly distKey?: string;
  readonly distStyle?: 'auto' | 'even' | 'all' | 'key';
  readonly sortKey?: readonly string[];
}

export interface TableOptions<C extends Columns> {
  /** Columns that identify a row. `merge` and `history` need them. */
  readonly key?: readonly (keyof C & string)[];
  readonly redshift?: RedshiftPlacement;
}

/** The row type of a `table()`, of a query or of a step. */
export type RowOf<T> = T extends { readonly declared: infer C extends Columns }
  ? { readonly [Name in keyof C]: ValueOf<C[Name]> }
  : T extends { readonly row?: infer Row }
    ? Row
    : never;

/**
 * Declares a table: `table('public.orders', { id: int8(), note: text().orNull() }, { key: ['id'] })`.
 *
 * @throws PIPELINE_INVALID for an empty name, no columns, or a key that names no column or a nullable one
 */
export function table<const C extends Columns>(name: string, columns: C, options: TableOptions<C> = {}): Table<C> {
  const problem = problemOf(name, columns, options.key ?? []);
  if (problem)
    throw new MillraceError('PIPELINE_INVALID', { message: `table("${name}"): ${problem}`, remedy: 'Correct the table() declaration.' });
  return Object.freeze({
    kind: 'table',
    name,
    declared: Object.freeze({ ...columns }),
    columns: Object.freeze(Object.entries(columns).map(([column, { type, nullable }]) => Object.freeze({ name: column, type, nullable }))),
    ...(options.key && { key: Object.freeze([...options.key]) }),
    ...(options.redshift && { redshift: Object.freeze({ ...options.redshift }) }),
  });
}

function problemOf(name: string, columns: Columns, key: readonly string[]): string | undefined {
  if (name.trim() === '') return 'the name is empty';
  if (Object.keys(columns).length === 0) return 'it has no columns';
  for (const column of key) {
    if (!Object.hasOwn(columns, column)) return `the key names "${column}", which is not a column`;
    if (columns[column]?.nullable) return `the key column "${column}" may be NULL; a key identifies every row`;
  }
  return undefined;
}
