import { type Column, int8, json, table, text, timestamptz } from '@millrace/core';
import type { Columns, Table } from '@millrace/core/runtime';
import { commonSchema } from './columns.ts';

/** Not an interface, which could gain columns elsewhere and so is no record of columns. */
type LogColumns = {
  readonly _op: Column<string>;
  readonly _position: Column<string>;
  readonly _ordinal: Column<bigint>;
  readonly _committed_at: Column<string | null>;
  readonly _xid: Column<string | null>;
  readonly _unchanged: Column<string | null>;
  readonly _before: Column<string | null>;
};

/** The log of a table as a table: its own columns, any of which may be NULL, and those that tell of the change. */
export type Changes<C extends Columns> = Table<
  { readonly [Name in keyof C]: C[Name] extends Column<infer Value> ? Column<Value | null> : never } & LogColumns
>;

/** To read a change log with: `lake.dataset('changes/', changesOf(orders), { table: 'orders' })`. See `columns.ts` for what is in it. */
export function changesOf<C extends Columns>(of: Table<C>): Changes<C> {
  const own = {
    _op: text(),
    _position: text(),
    _ordinal: int8(),
    _committed_at: timestamptz().orNull(),
    _xid: text().orNull(),
    _unchanged: json().orNull(),
    _before: json().orNull(),
  } satisfies LogColumns;
  const rows = Object.fromEntries(Object.entries(of.declared).map(([name, column]) => [name, column.orNull()]));
  const names = commonSchema.columns.map(({ name }) => name as keyof LogColumns);
  const at = names.indexOf('_unchanged');
  const part = (from: number, to?: number) => Object.fromEntries(names.slice(from, to).map((name) => [name, own[name]]));
  return table(`${of.name}_changes`, { ...part(0, at), ...rows, ...part(at) }) as unknown as Changes<C>;
}
