import {
  beforeKinds,
  type ChangeGroup,
  type ChangePart,
  type ColumnBatch,
  type Context,
  changeKinds,
  decodeCsv,
  MillraceError,
  type TableChanges,
} from '@millrace/core/runtime';
import type { StampedFile } from './convert.ts';
import { isoOf } from './groups.ts';
import { positionAt } from './place.ts';
import type { TableReading } from './read-file.ts';
import { tableAt } from './table-at.ts';
import { miscounted } from './table-source.ts';

export interface Reload {
  readonly name: string;
  readonly table: TableReading;
  readonly load: readonly StampedFile[];
  readonly startedAt: string;
  /** As many as DMS has counted. */
  readonly rows: number;
  readonly lobKilobytes: number;
  readonly entry: number;
  readonly context: Context;
}

/** A table that DMS has loaded again, as one transaction: it is emptied, and its rows come. */
export function reloadGroup({ name, table, load, startedAt, rows: counted, lobKilobytes, entry, context }: Reload): ChangeGroup {
  let isOver = false;
  return {
    transactions: [{ commit: positionAt(entry), committedAt: isoOf(startedAt), xid: `${entry}.0`, firstOrdinal: 0 }],
    size: null,
    parts: (async function* (): AsyncGenerator<ChangePart, void, undefined> {
      yield { kind: 'truncate', tables: [name], transaction: 0, ordinal: 0 };
      const channel = await tableAt({ table, load, changes: [], lobKilobytes }, context);
      let ordinal = 1;
      for await (const rows of decodeCsv(table.schema, channel.stream)) {
        context.signal.throwIfAborted();
        yield inserts(name, rows, ordinal);
        ordinal += rows.rowCount;
      }
      await channel.done;
      if (ordinal - 1 !== counted) throw miscounted(name, counted, ordinal - 1);
      isOver = true;
    })(),
    position() {
      if (isOver) return positionAt(entry + 1);
      throw new MillraceError('INTERNAL', { message: 'The end of the group is not known yet.', remedy: 'Read its parts first.' });
    },
  };
}

const inserts = (table: string, rows: ColumnBatch, ordinal: number): TableChanges => ({
  kind: 'changes',
  table,
  kinds: new Uint8Array(rows.rowCount).fill(changeKinds.insert),
  ordinals: Float64Array.from({ length: rows.rowCount }, (_, row) => ordinal + row),
  transactions: new Int32Array(rows.rowCount),
  rows,
  old: null,
  before: new Uint8Array(rows.rowCount).fill(beforeKinds.none),
});
