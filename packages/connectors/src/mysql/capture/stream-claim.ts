import { MillraceError } from '@millrace/core/runtime';
import { literal } from '../literal.ts';
import { openSession, type Session } from '../session.ts';
import { claimStream, lockName } from './home.ts';
import { fenced, type StreamOwner } from './stream-check.ts';

/** How long another attempt that is going away may take. */
const patienceSeconds = 15;

/**
 * One at a time begins a stream.
 *
 * @throws SLOT_BUSY
 */
export function beginAlone(owner: StreamOwner, name: string): Promise<AsyncDisposable> {
  return lockAlone(owner, lockName(name, 'begin'), `is just beginning the stream "${name}"`);
}

/**
 * One at a time reads a stream. A log does not mind who reads it, so a lock of the server says it; the session that has it does nothing else, and
 * `health` ends the reader where it has ended. Who has it for an attempt that is older than this one is ended by the server. Two that read at once
 * all the same have one server id, for which the server ends the older of them.
 *
 * @throws SLOT_BUSY, ATTEMPT_FENCED where a later attempt has been here
 */
export async function claim(owner: StreamOwner, name: string, epochThere: number): Promise<Session> {
  if (epochThere > owner.epoch) throw fenced(owner);
  const lock = lockName(name, 'read');
  await using look = await openSession(owner.settings, owner.context, { purpose: 'capture' });
  if (!(await claimStream(look, name, owner.epoch))) throw fenced(owner);
  if (epochThere < owner.epoch) await endHolder(look, lock);
  return await lockAlone(owner, lock, `reads the stream "${name}"`);
}

/** It may be asleep, and would keep the lock for as long as it sleeps. */
async function endHolder(session: Session, lock: string): Promise<void> {
  const [row] = await session.query(`SELECT IS_USED_LOCK(${literal(lock)}) AS holder`);
  const holder = Number(row?.['holder'] ?? 0);
  // Somebody else's connection cannot be ended, and then it is waited for.
  if (holder > 0) await session.execute(`KILL ${holder}`).catch(() => {});
}

async function lockAlone(owner: StreamOwner, lock: string, what: string): Promise<Session> {
  const session = await openSession(owner.settings, owner.context, { purpose: 'capture lock' });
  try {
    // It sleeps for as long as the stream is read.
    await session.execute('SET SESSION wait_timeout = 31536000');
    const [row] = await session.query(`SELECT GET_LOCK(${literal(lock)}, ${patienceSeconds}) AS got`);
    if (row?.['got'] === '1') return session;
    throw new MillraceError('SLOT_BUSY', {
      message: `${owner.label}: another process ${what}.`,
      remedy: `Nothing to do if that is an attempt that is going away: it is tried again. Else end it: SELECT IS_USED_LOCK(${literal(lock)}) tells its connection for KILL.`,
      facts: { lock },
    });
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
}
