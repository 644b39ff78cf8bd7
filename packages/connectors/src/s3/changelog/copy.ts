import {
  type ChangeGroup,
  type ChangePart,
  type Channel,
  type ColumnBatch,
  MillraceError,
  type Position,
  type Split,
  type StagedPart,
  type TableCopy,
} from '@millrace/core/runtime';
import { csvOf } from '../sink.ts';
import { countedBatches } from '../source.ts';
import type { ChangeSpool } from './change-spool.ts';
import { copyOrdinal, logSchema } from './columns.ts';
import { copiedRows, truncateRow } from './log-rows.ts';
import { type Packed, type Packing, packChannel, packSegment } from './pack.ts';
import { withoutBatchColumns } from './without-columns.ts';

/** What a copy needs of the log that it goes into. */
export interface CopyHome {
  readonly table: string;
  /** Of the snapshot: where in the stream the rows stand. */
  readonly position: Position;
  /** True where the log records the table's changes meanwhile, so that they must not come a second time. */
  readonly isFollowed: boolean;
  readonly leftOut: readonly string[];
  readonly packing: Packing;
  readonly spool: ChangeSpool;
  readonly append: (spool: ChangeSpool, group: ChangeGroup) => Promise<void>;
  readonly columns: () => Parameters<typeof truncateRow>[0];
  /** One manifest with the files that `make` answers; it is told whether the table has rows in the log. */
  readonly finish: (make: (log: { readonly hasRows: boolean }) => Promise<readonly Packed[]>, upTo: Position) => Promise<void>;
  readonly tidy: (files: readonly Packed[]) => Promise<void>;
}

/** Rows of one split have numbers from here on. */
const splitRows = 1e10;

/**
 * A first copy of a table, or another one, as rows of the log that stand at the snapshot's position. Where the table has rows
 * there already, a `truncate` comes before them. Changes after the snapshot are the log's own; those that it did not get come
 * through `apply`.
 */
export class LogCopy implements TableCopy {
  readonly #home: CopyHome;
  readonly #splits = new Map<string, readonly Packed[]>();
  #stages = 0;
  #finishing = false;

  constructor(home: CopyHome) {
    this.#home = home;
  }

  async stage(split: Split, channel: Channel): Promise<StagedPart> {
    const { packing, table, position, leftOut } = this.#home;
    const base = ++this.#stages * splitRows;
    let rows = 0;
    async function* read(): AsyncGenerator<ColumnBatch> {
      for await (const batch of batchesOf(channel)) {
        packing.context.progress({ rows: batch.rowCount });
        yield copiedRows(withoutBatchColumns(batch, leftOut), position, base + rows);
        rows += batch.rowCount;
      }
    }
    const columns = channel.schema.columns.filter(({ name }) => !leftOut.includes(name));
    const files = await packChannel(packing, csvOf({ format: 'batches', schema: logSchema({ columns }), batches: read() }), {
      table,
      first: position,
      last: position,
    });
    this.#splits.set(split.id, files);
    return { split: split.id, rows, bytes: files.reduce((sum, { file }) => sum + file.bytes, 0), detail: {} };
  }

  async apply(group: ChangeGroup): Promise<void> {
    const { table, spool, append, isFollowed } = this.#home;
    if (!isFollowed) await append(spool, { ...group, position: () => group.position(), parts: only(table, group.parts) });
  }

  async finish(position: Position): Promise<void> {
    const { finish, tidy } = this.#home;
    this.#finishing = true;
    const files: Packed[] = [...this.#splits.values()].flat();
    await finish(async ({ hasRows }) => {
      files.push(...(await this.#rest(hasRows)));
      return files;
    }, position);
    await tidy(files);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { spool, packing } = this.#home;
    await spool[Symbol.asyncDispose]();
    if (this.#finishing) return;
    // Nobody else knows of these files; what cannot be deleted now is swept later, by its notes.
    const files = [...this.#splits.values()].flat();
    if (files.length === 0) return;
    await packing.storage
      .delete(files.map(({ file }) => file.key))
      .then(() => packing.storage.delete(files.map(({ note }) => note)))
      .catch(() => {});
  }

  /** What comes before the rows, and after. */
  async #rest(hasRows: boolean): Promise<Packed[]> {
    const { table, position, packing, spool, columns } = this.#home;
    const later = spool.take();
    if (hasRows) await spool.append(table, truncateRow(columns(), { position, ordinal: copyOrdinal, of: null }), position, position);
    const files: Packed[] = [];
    for (const segment of [...spool.take(), ...later]) files.push(...(await packSegment(packing, segment)));
    return files;
  }
}

function batchesOf(channel: Channel): AsyncIterable<ColumnBatch> {
  if (channel.format === 'batches') return channel.batches;
  if (channel.format === 'csv') return countedBatches(channel);
  throw new MillraceError('INTERNAL', { message: `A log cannot be made of ${channel.format}.`, remedy: 'Please report it.' });
}

async function* only(table: string, parts: AsyncIterable<ChangePart>): AsyncGenerator<ChangePart> {
  for await (const part of parts) {
    if (part.kind === 'truncate') {
      if (part.tables.includes(table)) yield { ...part, tables: [table] };
    } else if (part.table === table) yield part;
  }
}
