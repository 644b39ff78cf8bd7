import { type Context, type Fence, isMillraceError } from '@millrace/core/runtime';
import { openSession, type Session } from '../client.ts';
import { attemptName } from '../sink/fence.ts';
import type { ApplySettings } from './settings.ts';

/**
 * A session that the next attempt can find and end. Rows are found by index, whatever the statistics say: a table may grow from nothing
 * to millions before anybody has counted it, and plans are kept.
 */
export function applySession(settings: ApplySettings, context: Context, fence: Fence): Promise<Session> {
  return openSession(settings.connection, context, {
    purpose: attemptName(fence),
    writer: true,
    settings: {
      plan_cache_mode: 'force_generic_plan',
      enable_seqscan: 'off',
      enable_hashjoin: 'off',
      enable_mergejoin: 'off',
      jit: 'off',
    },
  });
}

/**
 * Turns triggers and foreign keys off for the session, as replication does: rows come in an order of their own, and what triggers did is
 * among the changes. False where the role may not; constraints that can be are deferred then, and tables written in the order of their keys.
 */
export async function actAsReplica(session: Session): Promise<boolean> {
  try {
    await session.execute('SET session_replication_role = replica');
    return true;
  } catch (error) {
    if (isMillraceError(error) && error.code === 'ACCESS_DENIED') return false;
    throw error;
  }
}
