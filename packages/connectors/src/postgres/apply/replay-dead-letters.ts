import {
  beforeKinds,
  type ColumnBatch,
  type Context,
  changeKinds,
  encodedVector,
  isMillraceError,
  type LoadOwner,
  MillraceError,
  positionOf,
  type TableChanges,
  unchangedVector,
} from '@millrace/core/runtime';
import { openSession, type Session, type SessionSettings } from '../client.ts';
import { transaction } from '../sink/ledger.ts';
import { actAsReplica } from './apply-session.ts';
import type { LetterRow } from './dead-letters.ts';
import { applyOne, isRowFault } from './in-order.ts';
import { modes } from './modes.ts';
import type { OneChange } from './one-change.ts';
import type { ApplyMode } from './settings.ts';
import { readTarget, type TargetTable } from './target-table.ts';

export interface Replayed {
  readonly replayed: number;
  /** Still refused, with the reason that stands with the letter; and those that came after one of these about the same row. */
  readonly refused: number;
}

/**
 * Applies the changes of a stream that were set aside, oldest first, each in a transaction with the note that it was: after the table or
 * its rows have been mended. Safe beside the stream itself, and twice. Letters about rows that later changes have brought up to date are
 * left out.
 */
export async function replayDeadLetters(settings: SessionSettings, context: Context, owner: LoadOwner): Promise<Replayed> {
  await using session = await openSession(settings, context, { purpose: 'dead letters' });
  await actAsReplica(session);
  const waiting = await session.query(
    `SELECT id FROM _millrace.dead_letter WHERE pipeline = $1 AND step = $2 AND replayed_at IS NULL AND superseded_at IS NULL ORDER BY id`,
    [owner.pipeline, owner.step],
  );
  const stuck = new Set<string>();
  let replayed = 0;
  let refused = 0;
  for (const { id } of waiting) {
    const outcome = await replay(session, id as string, stuck);
    if (outcome === 'replayed') replayed++;
    else if (outcome === 'refused') refused++;
  }
  return { replayed, refused };
}

async function replay(session: Session, id: string, stuck: Set<string>): Promise<'replayed' | 'refused' | 'gone'> {
  let row: string | null = null;
  try {
    return await transaction(session, async () => {
      const [letter] = await session.query(
        `SELECT l.table_name, l.kind, l.key, l.position, l.ordinal, l.row, t.target, t.mode FROM _millrace.dead_letter l
         JOIN _millrace.stream_table t USING (pipeline, step, table_name)
         WHERE l.id = $1 AND l.replayed_at IS NULL AND l.superseded_at IS NULL FOR UPDATE OF l`,
        [id],
      );
      if (!letter) return 'gone';
      row = letter['key'] === null ? null : `${letter['table_name']} ${letter['key']}`;
      if (row !== null && stuck.has(row)) return 'refused';
      const key = letter['key'] ? Object.keys(JSON.parse(letter['key']) as object) : [];
      const target = await readTarget(session, letter['table_name'] as string, letter['target'] as string, key);
      if (!target) throw missing(letter['target'] as string);
      const change = changeOf(target, letter as unknown as Letter);
      await applyOne({ session, acts: modes[letter['mode'] as ApplyMode].acts }, change);
      await session.query('UPDATE _millrace.dead_letter SET replayed_at = now() WHERE id = $1', [id]);
      return 'replayed';
    });
  } catch (error) {
    if (!isMillraceError(error) || !isRowFault(error)) throw error;
    if (row !== null) stuck.add(row);
    await session.query('UPDATE _millrace.dead_letter SET error = $2 WHERE id = $1', [id, error.message]);
    return 'refused';
  }
}

interface Letter {
  readonly kind: keyof typeof changeKinds;
  readonly position: string;
  readonly ordinal: string;
  /** JSON of a `LetterRow`. */
  readonly row: string;
}

function changeOf(target: TargetTable, letter: Letter): OneChange {
  const { after, before, unchanged = [] } = JSON.parse(letter.row) as LetterRow;
  const names = [...new Set([...Object.keys(after ?? {}), ...unchanged, ...Object.keys(before ?? {})])];
  const columns = names.flatMap((name) => target.columns.get(name) ?? []);
  const isWhole = before !== undefined && columns.every(({ name }) => Object.hasOwn(before, name));
  const batch = (values: LetterRow['after']): ColumnBatch => ({
    schema: { columns: columns.map(({ name, type }) => ({ name, type, nullable: true })) },
    rowCount: 1,
    vectors: columns.map(({ name, type }) => {
      const text = values && Object.hasOwn(values, name) ? (values[name] ?? null) : undefined;
      const data = Buffer.from(text ?? '');
      const lengths = Int32Array.of(text === undefined || text === null ? -1 : data.length);
      const vector = encodedVector(type, { encoding: 'text', data, starts: Int32Array.of(0), lengths, stride: 1, offset: 0 }, 1);
      return text === undefined ? unchangedVector(vector, Uint8Array.of(1)) : vector;
    }),
  });
  const part: TableChanges = {
    kind: 'changes',
    table: target.table,
    kinds: Uint8Array.of(changeKinds[letter.kind]),
    ordinals: Float64Array.of(Number(letter.ordinal)),
    transactions: Int32Array.of(0),
    rows: batch(letter.kind === 'delete' ? before : after),
    old: before ? batch(before) : null,
    before: Uint8Array.of(before === undefined ? beforeKinds.none : isWhole ? beforeKinds.row : beforeKinds.key),
  };
  const commit = positionOf(letter.position);
  return {
    target,
    columns,
    part,
    row: 0,
    transaction: { commit, committedAt: new Date().toISOString(), xid: '', firstOrdinal: 0 },
    ordinal: Number(letter.ordinal),
  };
}

const missing = (table: string): MillraceError =>
  new MillraceError('TABLE_MISSING', {
    message: `The table ${table}, whose changes were set aside, is not there.`,
    remedy: 'Start the stream, which makes its tables, or name the table as it was.',
  });
