import { setTimeout as sleep } from 'node:timers/promises';
import type { Session } from '../client.ts';

/** How long a commit may wait for its standby. Where that is the stream itself, it would wait for as long as we do. */
const patienceMs = 3_000;

/**
 * Waits until other sessions see what a transaction of the stream has done: it is sent once its commit is in the log, which is a moment earlier, and
 * longer where the commit waits for a standby. Answers whether they do.
 */
export async function awaitVisible(session: Session, xid: number): Promise<boolean> {
  // A transaction holds a lock of its own until it is visible.
  const text = `select from pg_locks where locktype = 'transactionid' and transactionid = $1::text::xid and mode = 'ExclusiveLock' and granted`;
  for (const deadline = performance.now() + patienceMs; performance.now() < deadline; await sleep(10))
    if ((await session.query(text, [String(xid)])).length === 0) return true;
  return false;
}
