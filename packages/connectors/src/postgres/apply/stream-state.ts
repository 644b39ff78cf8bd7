import {
  type Fence,
  type LoadOwner,
  MillraceError,
  type Position,
  positionOf,
  type SinkState,
  type StreamIdentity,
} from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { literal } from '../literal.ts';
import { fenced, holdFence } from '../sink/fence.ts';
import { transaction } from '../sink/ledger.ts';
import type { ApplyMode } from './settings.ts';

/** A hold on a stream: whoever has taken it over last may write. Every transaction asks for it before it commits. */
export interface Hold {
  readonly owner: LoadOwner;
  readonly fence: Fence;
  /** Counts how often the stream was taken over. */
  readonly epoch: number;
}

const of = ({ owner: { pipeline, step } }: Pick<Hold, 'owner'>): string => `pipeline = ${literal(pipeline)} AND step = ${literal(step)}`;

/** Takes the stream over from every earlier attempt: what they have not committed by now they never will. */
export async function takeHold(session: Session, owner: LoadOwner, fence: Fence): Promise<Hold> {
  return transaction(session, async () => {
    await session.execute(`SET LOCAL lock_timeout = '20s'`);
    await holdFence(session, fence);
    const [row] = await session.query(
      `INSERT INTO _millrace.stream AS s (pipeline, step, epoch) VALUES ($1, $2, 1)
       ON CONFLICT (pipeline, step) DO UPDATE SET epoch = s.epoch + 1, begun_at = now() RETURNING epoch`,
      [owner.pipeline, owner.step],
    );
    // Copies hold their tables, and look at the epoch after that.
    await session.query('SELECT FROM _millrace.stream_table WHERE pipeline = $1 AND step = $2 FOR UPDATE', [owner.pipeline, owner.step]);
    return { owner, fence, epoch: Number(row?.['epoch']) };
  });
}

export async function readState(session: Session, owner: LoadOwner): Promise<SinkState> {
  const values = [owner.pipeline, owner.step];
  const [stream] = await session.query('SELECT identity, position FROM _millrace.stream WHERE pipeline = $1 AND step = $2', values);
  const tables = await session.query(
    'SELECT table_name, copied FROM _millrace.stream_table WHERE pipeline = $1 AND step = $2 AND copied IS NOT NULL',
    values,
  );
  const [letters] = await session.query('SELECT count(*) AS n FROM _millrace.dead_letter WHERE pipeline = $1 AND step = $2', values);
  return {
    identity: stream?.['identity'] ? (JSON.parse(stream['identity']) as StreamIdentity) : null,
    position: stream?.['position'] ? positionOf(stream['position']) : null,
    copied: Object.fromEntries(tables.map((row) => [row['table_name'] as string, positionOf(row['copied'] as string)])),
    deadLetters: Number(letters?.['n'] ?? 0),
  };
}

/**
 * Begins a transaction that moves the stream, and moves it: nobody can take it over before the end. `position` is null where it is known
 * at the end only. @throws ATTEMPT_FENCED
 */
export async function beginMove(session: Session, hold: Hold, position: Position | null): Promise<void> {
  const { affected } = await session.execute(
    `BEGIN ISOLATION LEVEL READ COMMITTED; UPDATE _millrace.stream SET ${moved(position)} WHERE ${of(hold)} AND epoch = ${hold.epoch}`,
  );
  if (affected !== 1) throw fenced(hold.fence);
}

/** Within a transaction that `beginMove` began. */
export async function move(session: Session, hold: Hold, position: Position): Promise<void> {
  const { affected } = await session.execute(`UPDATE _millrace.stream SET ${moved(position)} WHERE ${of(hold)} AND epoch = ${hold.epoch}`);
  if (affected !== 1) throw fenced(hold.fence);
}

const moved = (position: Position | null): string =>
  position === null ? 'moved_at = now()' : `position = ${literal(position)}, moved_at = now()`;

/**
 * Within a transaction that copies a table: keeps others from taking the stream over until it ends. It does not stand in the way of the
 * changes that are applied meanwhile. @throws ATTEMPT_FENCED
 */
export async function holdTable(session: Session, hold: Hold, table: string, how: 'SHARE' | 'UPDATE'): Promise<void> {
  await session.execute(`SELECT FROM _millrace.stream_table WHERE ${ofTable(hold, table)} FOR ${how}`);
  await checkHold(session, hold);
}

/** A first look, without a lock. @throws ATTEMPT_FENCED */
export async function checkHold(session: Session, hold: Hold): Promise<void> {
  const [row] = await session.query(`SELECT epoch FROM _millrace.stream WHERE ${of(hold)}`);
  if (row?.['epoch'] !== String(hold.epoch)) throw fenced(hold.fence);
}

/** Alone, until the transaction ends. @throws ATTEMPT_FENCED */
export async function keepHold(session: Session, hold: Hold): Promise<void> {
  const [row] = await session.query(`SELECT epoch FROM _millrace.stream WHERE ${of(hold)} FOR UPDATE`);
  if (row?.['epoch'] !== String(hold.epoch)) throw fenced(hold.fence);
}

/** Following another stream than before forgets which tables are copied. */
export async function recordStream(session: Session, hold: Hold, identity: StreamIdentity, position: Position): Promise<void> {
  await transaction(session, async () => {
    await keepHold(session, hold);
    const [before] = await session.query(`SELECT identity FROM _millrace.stream WHERE ${of(hold)}`);
    if (!sameStream(before?.['identity'] ?? null, identity))
      await session.execute(`UPDATE _millrace.stream_table SET copied = NULL WHERE ${of(hold)}`);
    await session.query(`UPDATE _millrace.stream SET identity = $1, position = $2, moved_at = now() WHERE ${of(hold)}`, [
      JSON.stringify(identity),
      position,
    ]);
  });
}

function sameStream(stored: string | null, identity: StreamIdentity): boolean {
  if (stored === null) return false;
  const { source, slot, origin } = JSON.parse(stored) as StreamIdentity;
  return source === identity.source && slot === identity.slot && origin === identity.origin;
}

/** What is noted of a table of the stream. */
export interface TableState {
  /** Made by this stream, so that its indexes are its own business. */
  readonly made: boolean;
  /** A copy was begun once: what stands in the table came from here. */
  readonly begun: boolean;
  readonly shadow: string | null;
}

export async function tableState(session: Session, { owner }: Pick<Hold, 'owner'>, table: string): Promise<TableState> {
  const [row] = await session.query(
    'SELECT made, begun, shadow FROM _millrace.stream_table WHERE pipeline = $1 AND step = $2 AND table_name = $3',
    [owner.pipeline, owner.step, table],
  );
  if (row) return { made: row['made'] === 't', begun: row['begun'] === 't', shadow: row['shadow'] ?? null };
  throw new MillraceError('INTERNAL', { message: `The stream has no table "${table}".`, remedy: 'Please report it.' });
}

/** Tables that are not followed from here on: if they come back, their copies are too old. */
export async function forgetTables(session: Session, { owner }: Pick<Hold, 'owner'>, followed: readonly string[]): Promise<void> {
  await session.query(
    `UPDATE _millrace.stream_table SET copied = NULL
     WHERE pipeline = $1 AND step = $2 AND copied IS NOT NULL AND NOT table_name IN (SELECT json_array_elements_text($3::json))`,
    [owner.pipeline, owner.step, JSON.stringify(followed)],
  );
}

export async function noteTable(
  session: Session,
  { owner }: Pick<Hold, 'owner'>,
  table: string,
  { target, mode, made }: { readonly target: string; readonly mode: ApplyMode; readonly made: boolean },
): Promise<void> {
  // A table that goes by another name now, or was made anew, has nothing of the stream in it.
  await session.query(
    `INSERT INTO _millrace.stream_table AS t (pipeline, step, table_name, target, made, mode) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (pipeline, step, table_name) DO UPDATE SET target = excluded.target, mode = excluded.mode, made = excluded.made OR (t.made AND t.target = excluded.target),
       begun = t.begun AND t.target = excluded.target AND NOT excluded.made,
       copied = CASE WHEN t.target = excluded.target AND NOT excluded.made THEN t.copied END`,
    [owner.pipeline, owner.step, table, target, made, mode],
  );
}

export const ofTable = (hold: Pick<Hold, 'owner'>, table: string): string => `${of(hold)} AND table_name = ${literal(table)}`;
