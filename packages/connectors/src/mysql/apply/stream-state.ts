import {
  type Fence,
  type LoadOwner,
  MillraceError,
  type Position,
  positionOf,
  type SinkState,
  type StreamIdentity,
} from '@millrace/core/runtime';
import { fenced } from '../../postgres/sink/fence.ts';
import { literal } from '../literal.ts';
import type { Session } from '../session.ts';
import { ownerHash } from '../sink/checkpoint.ts';
import { holdFence } from '../sink/fence.ts';
import { ledger, transaction } from '../sink/ledger.ts';
import type { Mark } from './mark.ts';

/** A hold on a stream: whoever has taken it over last may write. Every transaction asks for it before it commits. */
export interface Hold {
  readonly owner: LoadOwner;
  readonly fence: Fence;
  /** Counts how often the stream was taken over. */
  readonly epoch: number;
}

type Owned = Pick<Hold, 'owner'>;

const of = ({ owner }: Owned): string => `owner = ${literal(ownerHash(owner))}`;
export const ofTable = (hold: Owned, table: string): string => `${of(hold)} AND table_name = ${literal(table)}`;

/** Takes the stream over from every earlier attempt: what they have not committed by now they never will. */
export async function takeHold(session: Session, owner: LoadOwner, fence: Fence): Promise<Hold> {
  return transaction(session, async () => {
    await holdFence(session, fence);
    await session.execute(
      `INSERT INTO ${ledger('stream')} (owner, pipeline, step, epoch) VALUES (${[ownerHash(owner), owner.pipeline, owner.step, 1].map(literal).join(', ')})
       ON DUPLICATE KEY UPDATE epoch = epoch + 1, begun_at = CURRENT_TIMESTAMP`,
    );
    const [row] = await session.query(`SELECT epoch FROM ${ledger('stream')} WHERE ${of({ owner })} FOR UPDATE`);
    return { owner, fence, epoch: Number(row?.['epoch']) };
  });
}

export async function readState(session: Session, owner: LoadOwner): Promise<SinkState & { readonly mark: Mark | null }> {
  const [stream] = await session.query(`SELECT identity, position, mark FROM ${ledger('stream')} WHERE ${of({ owner })}`);
  const tables = await session.query(
    `SELECT table_name AS name, copied FROM ${ledger('stream_table')} WHERE ${of({ owner })} AND copied IS NOT NULL`,
  );
  return {
    identity: stream?.['identity'] ? (JSON.parse(stream['identity']) as StreamIdentity) : null,
    position: stream?.['position'] ? positionOf(stream['position']) : null,
    mark: stream?.['mark'] ? (JSON.parse(stream['mark']) as Mark) : null,
    copied: Object.fromEntries(tables.map((row) => [row['name'] as string, positionOf(row['copied'] as string)])),
    deadLetters: 0,
  };
}

/**
 * Begins a transaction that moves the stream, and moves it: nobody can take it over before the end. `position` is null where it is known
 * at the end only. @throws ATTEMPT_FENCED
 */
export async function beginMove(session: Session, hold: Hold, position: Position | null): Promise<void> {
  await session.execute('START TRANSACTION');
  try {
    await move(session, hold, position);
  } catch (error) {
    if (!session.ended) await session.execute('ROLLBACK').catch(() => {});
    throw error;
  }
}

/** Within a transaction that `beginMove` began. What is counted makes the server count the row as changed in any case. */
export async function move(session: Session, hold: Hold, position: Position | null): Promise<void> {
  const moved = position === null ? '' : `, position = ${literal(position)}, mark = NULL`;
  await changeStream(session, hold, `moves = moves + 1, moved_at = CURRENT_TIMESTAMP${moved}`);
}

/** Within the transaction of the changes up to the mark. */
export async function setMark(session: Session, hold: Hold, mark: Mark): Promise<void> {
  await changeStream(session, hold, `moves = moves + 1, mark = ${literal(JSON.stringify(mark))}`);
}

async function changeStream(session: Session, hold: Hold, set: string): Promise<void> {
  const { affected } = await session.execute(`UPDATE ${ledger('stream')} SET ${set} WHERE ${of(hold)} AND epoch = ${hold.epoch}`);
  if (affected !== 1) throw fenced(hold.fence);
}

/** Without a lock, and outside a transaction or at its very beginning. @throws ATTEMPT_FENCED */
export async function checkHold(session: Session, hold: Hold): Promise<void> {
  assertHeld(await session.query(`SELECT epoch FROM ${ledger('stream')} WHERE ${of(hold)}`), hold);
}

/** The last thing before a copy commits: nobody takes the stream over until it has. @throws ATTEMPT_FENCED */
export async function keepHold(session: Session, hold: Hold): Promise<void> {
  assertHeld(await session.query(`SELECT epoch FROM ${ledger('stream')} WHERE ${of(hold)} LOCK IN SHARE MODE`), hold);
}

function assertHeld([row]: readonly Readonly<Record<string, string | null>>[], hold: Hold): void {
  if (row?.['epoch'] !== String(hold.epoch)) throw fenced(hold.fence);
}

/** Following another stream than before forgets which tables are copied. */
export async function recordStream(session: Session, hold: Hold, identity: StreamIdentity, position: Position): Promise<void> {
  await transaction(session, async () => {
    const [before] = await session.query(`SELECT identity FROM ${ledger('stream')} WHERE ${of(hold)} FOR UPDATE`);
    if (!sameStream(before?.['identity'] ?? null, identity))
      await session.execute(`UPDATE ${ledger('stream_table')} SET copied = NULL WHERE ${of(hold)}`);
    const values = `identity = ${literal(JSON.stringify(identity))}, position = ${literal(position)}, mark = NULL`;
    await changeStream(session, hold, `moves = moves + 1, moved_at = CURRENT_TIMESTAMP, ${values}`);
  });
}

function sameStream(stored: string | null, identity: StreamIdentity): boolean {
  if (stored === null) return false;
  const { source, slot, origin } = JSON.parse(stored) as StreamIdentity;
  return source === identity.source && slot === identity.slot && origin === identity.origin;
}

/** What is noted of a table of the stream. Names are quoted. */
export interface TableState {
  readonly name: string;
  readonly target: string;
  /** A copy was begun once: what stands in the table came from here. */
  readonly begun: boolean;
  /** A table beside it that is, or was, about to take its place, and what becomes of the one that is there. */
  readonly shadow: string | null;
  readonly retired: string | null;
  /** The position of an announced take-over. */
  readonly takesOverAt: Position | null;
}

export async function tableStates(session: Session, owner: Owned): Promise<TableState[]> {
  const rows = await session.query(
    `SELECT table_name AS name, target, begun, shadow, retired, takes_over_at AS at_ FROM ${ledger('stream_table')} WHERE ${of(owner)}`,
  );
  return rows.map((row) => ({
    name: row['name'] ?? '',
    target: row['target'] ?? '',
    begun: row['begun'] === '1',
    shadow: row['shadow'] ?? null,
    retired: row['retired'] ?? null,
    takesOverAt: row['at_'] ? positionOf(row['at_']) : null,
  }));
}

export async function tableState(session: Session, owner: Owned, table: string): Promise<TableState> {
  const state = (await tableStates(session, owner)).find(({ name }) => name === table);
  if (state) return state;
  throw new MillraceError('INTERNAL', { message: `The stream has no table "${table}".`, remedy: 'Please report it.' });
}

/** Tables that are not followed from here on: if they come back, their copies are too old. */
export async function forgetTables(session: Session, owner: Owned, followed: readonly string[]): Promise<void> {
  const others = followed.length === 0 ? 'TRUE' : `table_name NOT IN (${followed.map(literal).join(', ')})`;
  await session.execute(`UPDATE ${ledger('stream_table')} SET copied = NULL WHERE ${of(owner)} AND ${others}`);
}

/**
 * `missing`: the table is about to be made. One that goes by another name now, or is made anew, has nothing of the stream in it; that is
 * noted before it is made, for nobody could tell afterwards.
 */
export async function noteTable(session: Session, hold: Hold, table: string, target: string, missing: boolean): Promise<void> {
  const stays = missing ? 'FALSE' : 'target = VALUES(target)';
  await transaction(session, async () => {
    await keepHold(session, hold);
    // Assignments are made from left to right: the name comes last.
    await session.execute(
      `INSERT INTO ${ledger('stream_table')} (owner, table_name, target) VALUES (${[ownerHash(hold.owner), table, target].map(literal).join(', ')})
       ON DUPLICATE KEY UPDATE begun = begun AND ${stays}, copied = IF(${stays}, copied, NULL), target = VALUES(target)`,
    );
  });
}

/** Within a transaction that holds the stream. */
export async function changeTable(session: Session, owner: Owned, table: string, set: string): Promise<void> {
  await session.execute(`UPDATE ${ledger('stream_table')} SET ${set} WHERE ${ofTable(owner, table)}`);
}

/** Within a transaction that holds the stream: the table is complete up to this position. */
export async function recordCopied(session: Session, owner: Owned, table: string, position: Position): Promise<void> {
  await session.execute(`DELETE FROM ${ledger('stream_split')} WHERE ${ofTable(owner, table)}`);
  await changeTable(session, owner, table, `copied = ${literal(position)}, begun = TRUE, shadow = NULL, takes_over_at = NULL`);
}
