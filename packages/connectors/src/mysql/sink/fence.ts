import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Context, type Fence, isMillraceError, MillraceError } from '@millrace/core/runtime';
import { fenced } from '../../postgres/sink/fence.ts';
import type { SessionSettings } from '../credentials.ts';
import { literal } from '../literal.ts';
import { openSession, type Session, type SessionOptions } from '../session.ts';
import { passing } from './failpoints.ts';
import { ledger, openLedger } from './ledger.ts';

/** How long a new attempt waits for the last statements of the one before it. */
const fenceWaitSeconds = 20;

/** The lock that each session holds. */
const locks = new WeakMap<Session, string>();

const fenceHash = (fence: Fence): string => createHash('sha256').update(fence.key).digest('hex').slice(0, 24);

/**
 * A session that the next attempt can find and end: it holds a lock (GET_LOCK) whose name stands in the ledger. Ids of connections alone
 * would not do, since a restarted server gives them out again.
 */
export async function attemptSession(
  settings: SessionSettings,
  context: Context,
  fence: Fence,
  options: Omit<SessionOptions, 'purpose' | 'writer'> = {},
): Promise<Session> {
  const session = await openSession(settings, context, { ...options, purpose: `load ${fenceHash(fence)}/${fence.epoch}`, writer: true });
  try {
    await openLedger(session);
    const name = `mr${fenceHash(fence)}/${fence.epoch}/${randomBytes(6).toString('hex')}`;
    await session.query(`SELECT GET_LOCK(${literal(name)}, 0)`);
    locks.set(session, name);
    await session.execute(
      `INSERT INTO ${ledger('session')} (lock_name, fence_hash, epoch) VALUES (${[name, fenceHash(fence), fence.epoch].map(literal).join(', ')})`,
    );
    return session;
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * Makes this attempt the one that may commit, and ends the sessions that earlier attempts have left open: one that sleeps would
 * hold its locks for as long as it sleeps.
 *
 * @throws ATTEMPT_FENCED where a newer attempt was here, LOAD_CONFLICT where an older one cannot be ended
 */
export async function takeFence(session: Session, fence: Fence): Promise<void> {
  await session.execute(`SET SESSION innodb_lock_wait_timeout = ${fenceWaitSeconds}`);
  await endEarlier(session, fence);
  await session.execute(
    `INSERT INTO ${ledger('fence')} (fence_key, epoch) VALUES (${literal(fence.key)}, ${fence.epoch}) ON DUPLICATE KEY UPDATE touched_at = CURRENT_TIMESTAMP, epoch = GREATEST(epoch, ${fence.epoch})`,
  );
  if ((await epochOf(session, fence, '')) !== fence.epoch) throw fenced(fence);
  await session.execute(`DELETE FROM ${ledger('session')} WHERE opened_at < CURRENT_TIMESTAMP - INTERVAL 7 DAY`);
  // One that was opened between the first look and the fence.
  await endEarlier(session, fence);
  passing('mysql.fence.taken');
}

/** Ends the sessions of earlier attempts that are known by now. */
export async function endEarlier(session: Session, fence: Fence): Promise<void> {
  const earlier = await session.query(
    `SELECT lock_name AS name, IS_USED_LOCK(lock_name) AS thread FROM ${ledger('session')} WHERE fence_hash = ${literal(fenceHash(fence))} AND epoch < ${fence.epoch}`,
  );
  for (const { name, thread } of earlier) {
    if (thread != null) await end(session, Number(thread), name ?? '');
    await session.execute(`DELETE FROM ${ledger('session')} WHERE lock_name = ${literal(name)}`);
  }
}

async function end(session: Session, thread: number, lock: string): Promise<void> {
  await session.execute(`KILL ${thread}`).catch((error: unknown) => {
    // It has ended by itself meanwhile (1094).
    if (!isMillraceError(error) || error.facts['errno'] !== 1094) throw error;
  });
  for (let tries = 0; tries < fenceWaitSeconds * 20; tries++) {
    const [row] = await session.query(`SELECT IS_USED_LOCK(${literal(lock)}) AS thread`);
    if (row?.['thread'] == null) return;
    await sleep(50);
  }
  throw new MillraceError('LOAD_CONFLICT', {
    message: `${session.place.label}: connection ${thread} of an earlier attempt does not end.`,
    remedy: 'Nothing to do: it is tried again. If it stays, look at what that connection does, and KILL it.',
    facts: { thread },
  });
}

/** Inside the transaction that commits: nobody can take the fence until it ends. @throws ATTEMPT_FENCED */
export async function holdFence(session: Session, fence: Fence): Promise<void> {
  if ((await epochOf(session, fence, ' FOR UPDATE')) !== fence.epoch) throw fenced(fence);
}

/** An attempt that wakes up late stages nothing more. @throws ATTEMPT_FENCED */
export async function notFenced(session: Session, fence: Fence): Promise<void> {
  if ((await epochOf(session, fence, '')) !== fence.epoch) throw fenced(fence);
}

async function epochOf(session: Session, fence: Fence, lock: string): Promise<number | null> {
  const [row] = await session.query(`SELECT epoch FROM ${ledger('fence')} WHERE fence_key = ${literal(fence.key)}${lock}`);
  return row ? Number(row['epoch']) : null;
}

/** Its row goes with it; the next attempt takes away what this cannot. */
export async function closeAttempt(session: Session): Promise<void> {
  const name = locks.get(session);
  if (name !== undefined && !session.ended)
    await session.execute(`DELETE FROM ${ledger('session')} WHERE lock_name = ${literal(name)}`).catch(() => {});
  await session[Symbol.asyncDispose]();
}
