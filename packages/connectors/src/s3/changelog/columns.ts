import type { ColumnSchema, RowSchema } from '@millrace/core/runtime';

/**
 * What a row of a change log says beside the columns of its table:
 *
 * | column          |                                                                                                             |
 * |-----------------|-------------------------------------------------------------------------------------------------------------|
 * | `_op`           | `read` (a first copy), `insert`, `update`, `delete`, `truncate`: what came before it of the table is gone    |
 * | `_position`     | of the commit. Text order is the order of the stream; a copy has the position that it was made at           |
 * | `_ordinal`      | place within the transaction; of a copy, and of the `truncate` before it, below zero                        |
 * | `_committed_at` | by the source's clock; NULL for a copy                                                                       |
 * | `_xid`          | of the source's transaction; NULL for a copy                                                                 |
 * | …               | the row after the change; for a delete what is known of the row before; for a truncate nothing              |
 * | `_unchanged`    | JSON list of columns that the update left as they were and that the source did not send: NULL stands there, and the value is the one that the row had before |
 * | `_before`       | JSON of the row before, as far as it is known: always its key where the change gave it another one         |
 */
const before: readonly ColumnSchema[] = [
  { name: '_op', type: { kind: 'text' }, nullable: false },
  { name: '_position', type: { kind: 'text' }, nullable: false },
  { name: '_ordinal', type: { kind: 'int8' }, nullable: false },
  { name: '_committed_at', type: { kind: 'timestamptz' }, nullable: true },
  { name: '_xid', type: { kind: 'text' }, nullable: true },
];
const after: readonly ColumnSchema[] = [
  { name: '_unchanged', type: { kind: 'json' }, nullable: true },
  { name: '_before', type: { kind: 'json' }, nullable: true },
];

export const logColumnNames: readonly string[] = [...before, ...after].map(({ name }) => name);

/** Columns that the files of every table have. */
export const commonSchema: RowSchema = { columns: [...before, ...after] };

/** Any column may be NULL here: of a deleted row often only the key is known. */
export const logSchema = ({ columns }: RowSchema): RowSchema => ({
  columns: [...before, ...columns.map(({ name, type }) => ({ name, type, nullable: true })), ...after],
});

/** Below every ordinal of a transaction, since a copy has what was committed before its position and not at it; exact in a double. */
export const copyOrdinal = -9e15;
