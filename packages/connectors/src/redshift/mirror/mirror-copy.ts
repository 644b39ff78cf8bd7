import { join } from 'node:path';
import {
  type ChangeGroup,
  type ChangePart,
  type Channel,
  type ColumnBatch,
  MillraceError,
  type Position,
  positionOf,
  type RowSchema,
  type SinkStream,
  type Split,
  type StagedPart,
  type StreamIdentity,
  type TableCopy,
} from '@millrace/core/runtime';
import { ChangeSpool } from '../../s3/changelog/change-spool.ts';
import { countedBatches } from '../../s3/source.ts';
import type { MirrorTable } from './mirror-warehouse.ts';
import { Rounds } from './rounds.ts';
import type { MirrorArea, StagedFile } from './staging-area.ts';
import { recordStream } from './stream-ledger.ts';
import { type Attempt, transact } from './transact.ts';
import { type WriteWork, writeCopy } from './write-steps.ts';

export interface CopyHome {
  readonly table: string;
  readonly key: readonly string[];
  readonly attempt: Attempt;
  readonly area: MirrorArea;
  readonly stream: Pick<SinkStream, 'policy' | 'tables'>;
  readonly tableOf: (name: string) => MirrorTable;
  readonly append: (spool: ChangeSpool, rounds: Rounds, group: ChangeGroup) => Promise<void>;
  /** Calls `work` when all that has been applied is durable, and before anything more is. */
  readonly finish: (work: (identity: StreamIdentity, position: Position) => Promise<void>) => Promise<void>;
}

/** Rows wait for the positions of a segment in vain: those of a copy have none. */
const nowhere = positionOf('0');
let copies = 0;

/**
 * A copy of a table, as staged files; what came after the snapshot is staged beside them. One transaction at the end puts them in the place of
 * what readers have seen until then.
 */
export class MirrorCopy implements TableCopy {
  readonly #home: CopyHome;
  readonly #spool: ChangeSpool;
  readonly #directory: string;
  readonly #rounds = new Rounds();
  readonly #splits = new Map<string, readonly StagedFile[]>();
  #schema: RowSchema | null = null;
  #stages = 0;
  #finishing = false;

  constructor(home: CopyHome) {
    this.#home = home;
    this.#directory = join(home.attempt.context.spool, `mirror-copy-${++copies}`);
    this.#spool = new ChangeSpool(join(this.#directory, 'changes'));
  }

  async stage(split: Split, channel: Channel): Promise<StagedPart> {
    const { table, attempt, area } = this.#home;
    const { bytes: fileBytes } = attempt.settings.roll;
    await using spool = new ChangeSpool(join(this.#directory, `split-${++this.#stages}`));
    this.#schema ??= { columns: channel.schema.columns };
    const files: StagedFile[] = [];
    const store = async () => {
      for (const segment of spool.take()) files.push(await area.put(segment));
    };
    let rows = 0;
    for await (const batch of batchesOf(channel)) {
      attempt.context.signal.throwIfAborted();
      await spool.append(table, batch, nowhere, nowhere);
      rows += batch.rowCount;
      attempt.context.progress({ rows: batch.rowCount });
      if (spool.bytes >= fileBytes) await store();
    }
    await store();
    this.#splits.set(split.id, files);
    return { split: split.id, rows, bytes: files.reduce((sum, file) => sum + file.bytes, 0), detail: {} };
  }

  async apply(group: ChangeGroup): Promise<void> {
    const { table, append } = this.#home;
    await append(this.#spool, this.#rounds, { ...group, position: () => group.position(), parts: only(table, group.parts) });
  }

  async finish(position: Position): Promise<void> {
    const { table, key, attempt, area, stream, tableOf, finish } = this.#home;
    this.#finishing = true;
    const read = [...this.#splits.values()].flat();
    const files: StagedFile[] = [...read];
    await finish(async (identity, reached) => {
      if (reached > position)
        throw new MillraceError('INTERNAL', {
          message: `The copy of "${table}" ends at ${position}, and its stream has come to ${reached}.`,
          remedy: 'Please report it.',
        });
      const later: StagedFile[] = [];
      for (const segment of this.#spool.take()) later.push(await area.put(segment));
      files.push(...later);
      await transact(
        attempt,
        async (session, warehouse) => {
          const { settings, context } = attempt;
          const work: WriteWork = { session, warehouse, settings, context, area, stream, tableOf };
          const copy = { files: read, schema: this.#schema ?? { columns: [] } };
          await writeCopy(work, table, key, copy, { files: later, steps: this.#rounds.steps });
          await recordStream(session, attempt.owner, { identity, position: reached, now: context.now(), copied: { table, position } });
        },
        (state) => state.copied[table] === position,
      );
    });
    await area.tidy(files);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#spool[Symbol.asyncDispose]();
    const files = [...this.#splits.values()].flat();
    // Nobody else knows of these files; what cannot be deleted now the next attempt deletes.
    if (!this.#finishing && files.length > 0) await this.#home.area.tidy(files);
  }
}

function batchesOf(channel: Channel): AsyncIterable<ColumnBatch> {
  if (channel.format === 'batches') return channel.batches;
  if (channel.format === 'csv') return countedBatches(channel);
  throw new MillraceError('INTERNAL', { message: `${channel.format} cannot be staged for a warehouse.`, remedy: 'Please report it.' });
}

async function* only(table: string, parts: AsyncIterable<ChangePart>): AsyncGenerator<ChangePart> {
  for await (const part of parts) {
    if (part.kind === 'truncate') {
      if (part.tables.includes(table)) yield { ...part, tables: [table] };
    } else if (part.table === table) yield part;
  }
}
