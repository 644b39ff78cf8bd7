import {
  type ChangeGroup,
  type Channel,
  type ColumnBatch,
  type Context,
  MillraceError,
  type Position,
  type RowSchema,
  type Split,
  type StagedPart,
  type TableCopy,
} from '@millrace/core/runtime';
import type { Command } from './command.ts';
import { passing } from './failpoints.ts';
import type { Hold } from './hold.ts';
import type { KeptTable } from './kept-table.ts';
import { Pending } from './pending.ts';
import { Spill } from './spill.ts';
import { Staging } from './staging.ts';
import { textRows } from './text-rows.ts';

/** What a copy needs of the stream that it belongs to. */
export interface CopyHome {
  readonly hold: Hold;
  readonly context: Context;
  /** True where keys are only thrown away. */
  readonly invalidate: boolean;
  readonly budget: number;
  /** As the table is kept, with the columns that come now. */
  kept(schema: RowSchema): KeptTable;
  /** What the state remembers of a table that is copied up to there. */
  copied(columns: RowSchema, position: Position): readonly Command[];
}

/** A first copy. Rows stand under their own keys at once: nobody relies on them before the copy is complete. */
export function freshCopy(home: CopyHome, first: KeptTable): TableCopy {
  const { hold, context, invalidate } = home;
  let [kept, isComplete] = [first, false];
  return {
    async stage(split: Split, channel: Channel): Promise<StagedPart> {
      kept = home.kept(channel.schema);
      return staged(split, channel, context, async (batch) => {
        if (!invalidate) await hold.put(batchCommands(kept, batch).commands);
        return batch.rowCount;
      });
    },
    async apply() {
      throw new MillraceError('INTERNAL', { message: 'Changes came for a first copy.', remedy: 'Please report it.' });
    },
    async finish(position) {
      // What was there before the stream is as old as anything.
      if (invalidate) await wipe(hold, kept);
      await hold.note(home.copied({ columns: kept.columns }, position));
      isComplete = true;
      passing('redis.copied');
    },
    async [Symbol.asyncDispose]() {
      if (!isComplete && !context.signal.aborted) await wipe(hold, kept).catch(() => {});
    },
  };
}

/** Another copy of a table that is in use. It stands elsewhere until it takes over, in one act with the place it is complete up to. */
export async function besideCopy(home: CopyHome, first: KeptTable, name: string): Promise<TableCopy> {
  const { hold, context, invalidate, budget } = home;
  const staging = await Staging.open(hold, name);
  let [kept, isComplete] = [first, false];
  return {
    async stage(split: Split, channel: Channel): Promise<StagedPart> {
      kept = home.kept(channel.schema);
      return staged(split, channel, context, async (batch) => {
        if (invalidate) return batch.rowCount;
        const { keys, commands } = batchCommands(kept.at(staging), batch);
        await staging.put(keys, commands);
        return batch.rowCount;
      });
    },
    async apply(group: ChangeGroup) {
      if (invalidate) return drained(group);
      const tables = new Map([[kept.table, kept.at(staging)]]);
      const anew = () => new Pending(tables, { invalidate: false, budget, spill: new Spill(hold) });
      let pending = anew();
      const write = async (): Promise<void> => {
        await staging.put(pending.keys(kept.table), pending.commands());
        pending = anew();
      };
      for await (const part of group.parts) {
        if (part.kind !== 'truncate') {
          kept = home.kept(part.kind === 'schema' ? part.schema : part.rows.schema);
          tables.set(kept.table, kept.at(staging));
        }
        if (part.kind !== 'schema') await pending.add(part, group);
        if (pending.isFull) await write();
      }
      await write();
    },
    async finish(position) {
      const settling = [...home.copied({ columns: kept.columns }, position), ...staging.settling];
      await hold.commit(invalidate ? removals(kept) : replacement(kept, staging), settling);
      isComplete = true;
      passing('redis.copied');
    },
    async [Symbol.asyncDispose]() {
      if (!isComplete && !context.signal.aborted) await staging.clear().catch(() => {});
    },
  };
}

/** Makes what is staged a table's keys, and takes away all others of them. */
export async function* replacement(kept: KeptTable, staging: Staging): AsyncGenerator<Command> {
  for await (const keys of kept.keys()) {
    const stays = await staging.staged(keys);
    for (const key of keys) if (!stays.has(key)) yield kept.remove(key);
  }
  for await (const sets of kept.sets()) for (const set of sets) yield ['UNLINK', set];
  const elsewhere = kept.at(staging);
  for await (const keys of staging.keys()) {
    const rows = kept.form.sorted.length > 0 ? await elsewhere.read(keys) : null;
    for (const key of keys) {
      yield* kept.adopt(key, staging);
      yield* kept.enter(rows?.get(key) ?? null);
    }
  }
}

/** Takes away every key of a table. */
export async function wipe(hold: Hold, kept: KeptTable): Promise<void> {
  await hold.put(removals(kept));
}

async function* removals(kept: KeptTable): AsyncGenerator<Command> {
  for await (const keys of kept.keys()) for (const key of keys) yield kept.remove(key);
  for await (const sets of kept.sets()) for (const set of sets) yield ['UNLINK', set];
}

/** The rows of a batch under their keys. `refuse` is told of those that cannot have one, and may throw. */
export function batchCommands(
  kept: KeptTable,
  batch: ColumnBatch,
  refuse: (row: number, error: unknown) => void = (_, error) => {
    throw error;
  },
): { readonly keys: string[]; readonly commands: Command[] } {
  const rowAt = textRows(batch, kept.names);
  const keys: string[] = [];
  const commands: Command[] = [];
  for (let row = 0; row < batch.rowCount; row++) {
    try {
      const values = rowAt(row);
      const key = kept.key(values);
      commands.push(...kept.put(key, values), ...kept.enter(values));
      keys.push(key);
    } catch (error) {
      refuse(row, error);
    }
  }
  return { keys, commands };
}

/** Reads a split to its end, batch by batch. `write` is told where a batch begins in it, and answers how many of its rows were taken. */
export async function staged(
  split: Split,
  channel: Channel,
  context: Context,
  write: (batch: ColumnBatch, first: number) => Promise<number>,
): Promise<StagedPart> {
  if (channel.format !== 'batches')
    throw new MillraceError('INTERNAL', { message: `Keys cannot be made of ${channel.format}.`, remedy: 'Please report it.' });
  let [rows, first] = [0, 0];
  for await (const batch of channel.batches) {
    context.signal.throwIfAborted();
    rows += await write(batch, first);
    first += batch.rowCount;
    context.progress({ rows: batch.rowCount });
    passing('redis.staged');
  }
  return { split: split.id, rows, bytes: 0, detail: {} };
}

async function drained(group: ChangeGroup): Promise<void> {
  for await (const _ of group.parts);
}
