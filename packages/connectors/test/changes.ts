import { setTimeout as sleep } from 'node:timers/promises';
import {
  beforeKinds,
  type CaptureSource,
  type ChangeGroup,
  type ChangeSource,
  type ColumnBatch,
  type Context,
  isUnchanged,
  type Position,
  type SourceTransaction,
} from '@millrace/core/runtime';
import type { Row } from './load.ts';

export const stream = { pipeline: 'shop', step: 'changes' };

/** One change as a test likes to see it. */
export type Seen =
  | {
      readonly op: 'insert' | 'update' | 'delete';
      readonly table: string;
      /** Without values that did not change and were not sent. */
      readonly row: Row;
      readonly old?: Row;
      readonly before?: 'key' | 'row';
      readonly tx: number;
      readonly ordinal: number;
    }
  | { readonly op: 'truncate'; readonly tables: readonly string[]; readonly tx: number; readonly ordinal: number }
  | { readonly op: 'schema'; readonly table: string; readonly changes: readonly unknown[]; readonly tx: number; readonly ordinal: number };

export interface SeenGroup {
  readonly transactions: readonly SourceTransaction[];
  /** In stream order. */
  readonly changes: readonly Seen[];
  readonly size: ChangeGroup['size'];
  readonly position: Position;
}

const names = ['', 'insert', 'update', 'delete'] as const;

export async function seeGroup(group: ChangeGroup): Promise<SeenGroup> {
  const changes: Seen[] = [];
  for await (const part of group.parts) {
    if (part.kind === 'truncate') changes.push({ op: 'truncate', tables: part.tables, tx: part.transaction, ordinal: part.ordinal });
    else if (part.kind === 'schema')
      changes.push({ op: 'schema', table: part.table, changes: part.changes, tx: part.transaction, ordinal: part.ordinal });
    else {
      for (let at = 0; at < part.rows.rowCount; at++) {
        const before = part.before[at];
        changes.push({
          op: names[part.kinds[at] ?? 0] as 'insert',
          table: part.table,
          row: rowAt(part.rows, at),
          ...(part.old && before !== beforeKinds.none && { old: rowAt(part.old, at), before: before === beforeKinds.key ? 'key' : 'row' }),
          tx: part.transactions[at] ?? -1,
          ordinal: part.ordinals[at] ?? -1,
        });
      }
    }
  }
  changes.sort((a, b) => a.ordinal - b.ordinal || (a.op === 'schema' ? -1 : b.op === 'schema' ? 1 : 0));
  return { transactions: group.transactions, changes, size: group.size, position: group.position() };
}

export function rowAt(batch: ColumnBatch, row: number): Row {
  return Object.fromEntries(
    batch.vectors.flatMap((vector, at) => (isUnchanged(vector, row) ? [] : [[batch.schema.columns[at]?.name ?? '?', vector.get(row)]])),
  );
}

/** Reads to where the source's log is now, and releases nothing. */
export async function readToEnd(source: ChangeSource, after: Position): Promise<SeenGroup[]> {
  const end = (await source.stream())?.end as Position;
  const groups: SeenGroup[] = [];
  const stop = AbortSignal.timeout(15_000);
  const nudging = setInterval(() => void source.nudge().catch(() => {}), 200);
  try {
    for await (const group of source.read(after, { signal: stop, until: end })) groups.push(await seeGroup(group));
  } finally {
    clearInterval(nudging);
  }
  if (stop.aborted) throw new Error(`The stream did not come to ${end} in time; it came to ${groups.at(-1)?.position ?? 'nothing'}`);
  return groups;
}

/** Opens a stream that is made anew, without its first copies. */
export async function begin(captured: CaptureSource, context: Context): Promise<{ source: ChangeSource; position: Position }> {
  const source = await captured.open(context, stream);
  const { snapshot } = await source.create();
  const { position } = snapshot;
  await snapshot[Symbol.asyncDispose]();
  return { source, position };
}

/** Every change that the statements make, in order. */
export async function changesOf(
  captured: CaptureSource,
  context: Context,
  work: () => Promise<unknown>,
): Promise<{ readonly changes: Seen[]; readonly groups: SeenGroup[] }> {
  const { source, position } = await begin(captured, context);
  await using _source = source;
  await work();
  const groups = await readToEnd(source, position);
  return { changes: groups.flatMap(({ changes }) => changes), groups };
}

/** A change without the places that a test is not about. */
export const brief = (changes: readonly Seen[]): unknown[] => changes.map(({ tx: _tx, ordinal: _ordinal, ...rest }) => rest);

export const pause = sleep;
