import { createHash } from 'node:crypto';
import { type Fence, MillraceError } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { passing } from './failpoints.ts';
import { transaction } from './ledger.ts';

/** How long a new attempt waits for the last statements of the one before it. */
const fenceWait = '20s';

/** Names a session after its attempt, so that the next attempt can end it: `load 5f2b…/3`. */
export function attemptName(fence: Fence): string {
  return `load ${fenceHash(fence)}/${fence.epoch}`;
}

const fenceHash = (fence: Fence): string => createHash('sha256').update(fence.key).digest('hex').slice(0, 24);

/**
 * Makes this attempt the one that may commit, and ends the sessions that earlier attempts have left open: one that sleeps would
 * hold its locks for as long as it sleeps.
 *
 * @throws ATTEMPT_FENCED where a newer attempt was here, LOAD_CONFLICT where an older one cannot be ended
 */
export async function takeFence(session: Session, fence: Fence): Promise<void> {
  // Sessions of one's own role only: those of others cannot be ended without a privilege, and are not attempts at this stage.
  await session.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
       AND CASE WHEN starts_with(application_name, $1) THEN split_part(application_name, '/', 2)::int8 < $2 ELSE false END`,
    [`millrace load ${fenceHash(fence)}/`, fence.epoch],
  );
  const taken = await transaction(session, async () => {
    await session.execute(`SET LOCAL lock_timeout = '${fenceWait}'`);
    return session.query(
      `INSERT INTO _millrace.fence AS f (key, epoch) VALUES ($1, $2)
       ON CONFLICT (key) DO UPDATE SET epoch = excluded.epoch, touched_at = now() WHERE f.epoch <= excluded.epoch RETURNING epoch`,
      [fence.key, fence.epoch],
    );
  });
  if (taken.length === 0) throw fenced(fence);
  passing('postgres.fence.taken');
}

/** Inside the transaction that commits: nobody can take the fence until it ends. @throws ATTEMPT_FENCED */
export async function holdFence(session: Session, fence: Fence): Promise<void> {
  const [row] = await session.query('SELECT epoch FROM _millrace.fence WHERE key = $1 FOR UPDATE', [fence.key]);
  if (row?.['epoch'] !== String(fence.epoch)) throw fenced(fence);
}

export const fenced = (fence: Fence): MillraceError =>
  new MillraceError('ATTEMPT_FENCED', {
    message: `Attempt ${fence.epoch} at ${fence.key} came too late: a newer one has taken over.`,
    remedy: 'Nothing to do: the newer attempt goes on.',
    facts: { key: fence.key, epoch: fence.epoch },
  });
