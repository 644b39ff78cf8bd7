import { baseType } from '@millrace/core/runtime';
import type { ArrayForm } from './array-parameter.ts';
import type { TargetColumn, TargetTable } from './target-table.ts';

/** A column of the incoming rows, and how its values come. */
export interface IncomingColumn {
  readonly column: TargetColumn;
  readonly form: ArrayForm;
}

/*
 * Statements over many rows at once. `u` has a column for each parameter, `c0`, `c1`, …, each an array; a value is cast to the column's type
 * without its length, so that the assignment refuses what is too long.
 */

const rowsOf = (columns: readonly IncomingColumn[], more: readonly string[] = []): string => {
  const forms = [...columns.map(({ form }) => form.type), ...more];
  return `unnest(${forms.map((type, at) => `$${at + 1}::${type}`).join(', ')}) AS u(${forms.map((_, at) => `c${at}`).join(', ')})`;
};

const value = ({ column }: IncomingColumn, at: number): string => `u.c${at}::${column.cast}`;

/** `also` are assignments of columns that no row brings, where a row is there already. */
export function insertSql(
  target: TargetTable,
  columns: readonly IncomingColumn[],
  onConflict: 'fail' | 'update' | 'nothing',
  also: readonly string[] = [],
): string {
  const into = columns.map(({ column }) => column.quoted).join(', ');
  return `INSERT INTO ${target.quoted} (${into}) OVERRIDING SYSTEM VALUE SELECT ${columns.map(value).join(', ')} FROM ${rowsOf(columns)}${conflict(target, columns, onConflict, also)}`;
}

function conflict(
  target: TargetTable,
  columns: readonly IncomingColumn[],
  how: 'fail' | 'update' | 'nothing',
  also: readonly string[],
): string {
  if (how === 'fail' || target.key.length === 0) return '';
  const key = target.key.map((name) => target.columns.get(name)!.quoted).join(', ');
  const writable = settable(
    target,
    columns.map(({ column }) => column),
  );
  const set = [...writable.map(({ quoted }) => `${quoted} = excluded.${quoted}`), ...also];
  return how === 'nothing' || set.length === 0
    ? ` ON CONFLICT (${key}) DO NOTHING`
    : ` ON CONFLICT (${key}) DO UPDATE SET ${set.join(', ')}`;
}

/** Columns that an update of a row found by its key writes. */
export function settable(target: TargetTable, columns: readonly TargetColumn[]): TargetColumn[] {
  return columns.filter(({ name, identityAlways }) => !target.key.includes(name) && !identityAlways);
}

/** Null where there is nothing to set. */
export function updateSql(target: TargetTable, columns: readonly IncomingColumn[], more = ''): string | null {
  const writable = new Set(
    settable(
      target,
      columns.map(({ column }) => column),
    ),
  );
  const set = columns.flatMap((incoming, at) =>
    writable.has(incoming.column) ? [`${incoming.column.quoted} = ${value(incoming, at)}`] : [],
  );
  if (more) set.push(more);
  if (set.length === 0) return null;
  return `UPDATE ${target.quoted} AS t SET ${set.join(', ')} FROM ${rowsOf(columns)} WHERE ${sameKey(target, columns)}`;
}

export function deleteSql(target: TargetTable, key: readonly IncomingColumn[]): string {
  const [only] = key;
  // There are no arrays of arrays.
  if (key.length === 1 && only && baseType(only.column.type).kind !== 'array') {
    const cast = only.form.of === null ? `::${only.column.cast}[]` : '';
    return `DELETE FROM ${target.quoted} AS t WHERE t.${only.column.quoted} = ANY ($1::${only.form.type}${cast})`;
  }
  return `DELETE FROM ${target.quoted} AS t USING ${rowsOf(key)} WHERE ${sameKey(target, key)}`;
}

export const sameKey = (target: TargetTable, columns: readonly IncomingColumn[]): string =>
  columns
    .flatMap((incoming, at) => (target.key.includes(incoming.column.name) ? [`t.${incoming.column.quoted} = ${value(incoming, at)}`] : []))
    .join(' AND ');

export { rowsOf, value };
