import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import {
  beforeKinds,
  type ChangeGroup,
  type ChangeKind,
  type ColumnBatch,
  changeKinds,
  type Position,
  type SourceTransaction,
  type Table,
  type TableChanges,
  valuesVector,
} from '@millrace/core/runtime';
import { attributeReader } from '../attribute.ts';
import { commitAfter } from './place.ts';
import type { ShardRecord } from './read-shard.ts';

/** A record and whose it is. */
export interface Change extends ShardRecord {
  readonly table: string;
}

type Item = Record<string, AttributeValue>;

/**
 * Changes between two places as a group. Each is a transaction of its own: streams do not say which were made together. An item that is put
 * is an update, also where it is new: what the copy has seen already may come once more.
 */
export function groupOf(
  changes: readonly Change[],
  tables: Readonly<Record<string, Table>>,
  from: Position,
  to: Position,
  size: number,
): ChangeGroup {
  const transactions = changes.map(
    ({ record }, ordinal): SourceTransaction => ({
      commit: commitAfter(from, ordinal),
      committedAt: (record.dynamodb?.ApproximateCreationDateTime ?? new Date(0)).toISOString().replace('Z', '000Z'),
      xid: record.eventID ?? String(ordinal),
      firstOrdinal: ordinal,
    }),
  );
  const names = [...new Set(changes.map(({ table }) => table))];
  return {
    transactions,
    size: { rows: changes.length, bytes: size },
    position: () => to,
    parts: (async function* () {
      for (const name of names) {
        const table = tables[name];
        if (table) yield tableChanges(name, table, changes);
      }
    })(),
  };
}

function tableChanges(name: string, table: Table, changes: readonly Change[]): TableChanges {
  const own = changes.flatMap(({ table, record }, ordinal) => (table === name ? [{ record, ordinal }] : []));
  const kinds = own.map(({ record }): ChangeKind => (record.eventName === 'REMOVE' ? changeKinds.delete : changeKinds.update));
  const olds = own.map(({ record }, place) => {
    if (record.dynamodb?.OldImage) return record.dynamodb.OldImage as Item;
    return kinds[place] === changeKinds.delete ? ((record.dynamodb?.Keys ?? {}) as Item) : null;
  });
  const before = own.map(({ record }, place) =>
    record.dynamodb?.OldImage ? beforeKinds.row : kinds[place] === changeKinds.delete ? beforeKinds.key : beforeKinds.none,
  );
  const rows = own.map(({ record }, place) => (kinds[place] === changeKinds.delete ? olds[place] : record.dynamodb?.NewImage) as Item);
  const keyOnly = before.map((kind, place) => kinds[place] === changeKinds.delete && kind === beforeKinds.key);
  return {
    kind: 'changes',
    table: name,
    kinds: Uint8Array.from(kinds),
    ordinals: Float64Array.from(own, ({ ordinal }) => ordinal),
    transactions: Int32Array.from(own, ({ ordinal }) => ordinal),
    rows: batchOf(table, rows, keyOnly),
    old: olds.some((item) => item !== null)
      ? batchOf(
          table,
          olds.map((item) => item ?? {}),
          before.map((kind) => kind !== beforeKinds.row),
        )
      : null,
    before: Uint8Array.from(before),
  };
}

/** `partial`: rows of which only what is there is known; everything else is NULL. */
function batchOf(table: Table, items: readonly Item[], partial: readonly boolean[]): ColumnBatch {
  const schema = { columns: table.columns, ...(table.key && { key: table.key }) };
  const vectors = table.columns.map((column) => {
    const read = attributeReader(column);
    return valuesVector(
      column.type,
      items.map((item, row) => (partial[row] && !Object.hasOwn(item, column.name) ? null : read(item))),
    );
  });
  return { schema, rowCount: items.length, vectors };
}
