import {
  beforeKinds,
  type ColumnBatch,
  type ColumnType,
  changeKinds,
  encodeText,
  isUnchanged,
  knownValues,
  MillraceError,
  type SourceTransaction,
  type TableChanges,
  utf8,
  type Vector,
} from '@millrace/core/runtime';
import type { TargetColumn, TargetTable } from './target-table.ts';

/** As much of a table and of its columns as is asked here, whatever the database is. */
interface AnyTable {
  readonly table: string;
  readonly shown: string;
  readonly key: readonly string[];
}
interface AnyColumn {
  readonly name: string;
}

/** One change on its way into its table, alone. */
export interface OneChange<Table extends AnyTable = TargetTable, Column extends AnyColumn = TargetColumn> {
  readonly target: Table;
  /** For each column of the incoming rows where it goes, or null. */
  readonly columns: readonly (Column | null)[];
  readonly part: TableChanges;
  readonly row: number;
  readonly transaction: SourceTransaction;
  /** Within its transaction. */
  readonly ordinal: number;
}

/** A value as the text that the database reads. */
export interface TextValue<Column extends AnyColumn = TargetColumn> {
  readonly column: Column;
  readonly text: string | null;
}

/** The values that came: all but those that are unchanged. */
export const valuesAfter = <Column extends AnyColumn>({ columns, part, row }: OneChange<AnyTable, Column>): TextValue<Column>[] =>
  textValues(columns, part.rows, row);

/** Of the row before, as far as it came. Null where nothing did. */
export function valuesBefore<Column extends AnyColumn>({ columns, part, row }: OneChange<AnyTable, Column>): TextValue<Column>[] | null {
  const before = part.before[row];
  if (part.kinds[row] === changeKinds.delete) return textValues(columns, part.rows, row);
  return part.old === null || before === beforeKinds.none ? null : textValues(columns, part.old, row);
}

function textValues<Column extends AnyColumn>(columns: readonly (Column | null)[], batch: ColumnBatch, row: number): TextValue<Column>[] {
  return columns.flatMap((column, place) => {
    const vector = batch.vectors[place];
    return column && vector && !isUnchanged(vector, row) ? [{ column, text: textAt(vector, row) }] : [];
  });
}

function textAt(vector: Vector, row: number): string | null {
  if (vector.isNull(row)) return null;
  const { encoded } = knownValues(vector);
  if (encoded?.encoding !== 'text') return printer(vector.type)(vector.get(row));
  const at = row * encoded.stride + encoded.offset;
  const start = encoded.starts[at]!;
  return utf8(encoded.data, start, start + encoded.lengths[at]!);
}

const printers = new WeakMap<ColumnType, (value: unknown) => string>();

function printer(type: ColumnType): (value: unknown) => string {
  const known = printers.get(type) ?? encodeText(type);
  printers.set(type, known);
  return known;
}

/** The key by which the row is found: the one before where the change has moved it. @throws RESYNC_REQUIRED */
export function keyOf<Column extends AnyColumn>(change: OneChange<AnyTable, Column>): TextValue<Column>[] {
  const before = valuesBefore(change) ?? [];
  return keyAmong(change, [...before, ...valuesAfter(change)]);
}

/** The key of the row after the change. */
export const keyAfter = <Column extends AnyColumn>(change: OneChange<AnyTable, Column>): TextValue<Column>[] =>
  keyAmong(change, [...valuesAfter(change), ...(valuesBefore(change) ?? [])]);

function keyAmong<Column extends AnyColumn>(
  { target }: OneChange<AnyTable, Column>,
  values: readonly TextValue<Column>[],
): TextValue<Column>[] {
  return target.key.map((name) => {
    const value = values.find(({ column }) => column.name === name);
    if (value) return value;
    throw new MillraceError('RESYNC_REQUIRED', {
      message: `A change of ${target.shown} came without "${name}" of its key: the replica identity of the table does not have it any more.`,
      remedy: `ALTER TABLE … REPLICA IDENTITY FULL at the source, or one with the key in it; then copy the table again with "millrace resync … --table ${target.table}".`,
      facts: { table: target.table, column: name },
    });
  });
}

/** All columns of the key are as they were. */
export const movesKey = (change: OneChange<AnyTable, AnyColumn>): boolean => {
  if (valuesBefore(change) === null) return false;
  const [before, after] = [keyOf(change), keyAfter(change)];
  return before.some(({ text }, at) => text !== after[at]!.text);
};

export const kindName = ({ part, row }: OneChange): keyof typeof changeKinds =>
  part.kinds[row] === changeKinds.insert ? 'insert' : part.kinds[row] === changeKinds.update ? 'update' : 'delete';

/** `id = 5, day = 2026-01-01`, or the row where there is no key. */
export function shownKey(change: OneChange<AnyTable, AnyColumn>): string {
  const values = change.target.key.length > 0 ? keyOf(change) : (valuesBefore(change) ?? valuesAfter(change));
  const text = values.map((value) => `${value.column.name} = ${value.text ?? 'NULL'}`).join(', ');
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
