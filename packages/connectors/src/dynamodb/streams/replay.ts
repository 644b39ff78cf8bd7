import type { ChangeGroup, Context, Position, Table } from '@millrace/core/runtime';
import type { StreamsService } from './client.ts';
import { type Change, groupOf } from './group.ts';
import type { Journal } from './journal.ts';
import { gone } from './shards.ts';
import { between } from './table-stream.ts';

export interface StreamOf {
  readonly table: Table;
  readonly arn: string;
}

export interface ReplayParts {
  readonly streams: StreamsService;
  readonly journal: Journal;
  /** By the table's name in the pipeline. */
  readonly tables: Readonly<Record<string, StreamOf>>;
  readonly context: Context;
}

/** What stands between a place and the one after it, as it was cut; of some tables. @throws RESYNC_REQUIRED where some of it was trimmed */
export async function replay(parts: ReplayParts, from: Position, names: readonly string[]): Promise<ChangeGroup> {
  const { journal, tables, streams, context } = parts;
  const [to, before] = await Promise.all([journal.next(from), journal.vector(from)]);
  const after = to && (await journal.vector(to));
  if (!to || !before || !after) throw gone(`the journal does not say what comes after ${from}`);
  const changes: Change[] = [];
  for (const [table, { arn }] of Object.entries(tables)) {
    const [start, end] = [before[table], after[table]];
    if (start === undefined || end === undefined) continue; // not followed then
    for await (const record of between(streams, arn, [start, end], context)) changes.push({ table, ...record });
  }
  const all = groupOf(changes, declared(tables), from, to, 0);
  if (names.length === Object.keys(tables).length) return all;
  return {
    ...all,
    parts: (async function* () {
      for await (const part of all.parts) if (part.kind === 'changes' && names.includes(part.table)) yield part;
    })(),
  };
}

export const declared = (tables: Readonly<Record<string, StreamOf>>): Readonly<Record<string, Table>> =>
  Object.fromEntries(Object.entries(tables).map(([name, { table }]) => [name, table]));
