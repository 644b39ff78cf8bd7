import { type Context, type Fence, isMillraceError, type LoadOwner, MillraceError, type SinkState } from '@millrace/core/runtime';
import type { Session } from '../../postgres/client.ts';
import { openWarehouse } from '../warehouse.ts';
import { passing } from './failpoints.ts';
import type { MirrorWarehouse } from './mirror-warehouse.ts';
import { mirrorOnPostgres } from './on-postgres.ts';
import { mirrorOnRedshift } from './on-redshift.ts';
import type { MirrorSettings } from './settings.ts';
import { readStream } from './stream-ledger.ts';

export interface Attempt {
  readonly settings: MirrorSettings;
  readonly context: Context;
  readonly owner: LoadOwner;
  readonly fence: Fence;
}

/** A session is opened for each transaction: between two of them lie minutes, in which proxies and clusters like to end what is idle. */
export async function mirrorSession({ settings, context, fence }: Attempt): Promise<{ session: Session; warehouse: MirrorWarehouse }> {
  const { session, redshift } = await openWarehouse(settings, context, fence);
  return { session, warehouse: redshift ? mirrorOnRedshift : mirrorOnPostgres };
}

/**
 * One transaction of this attempt. Nobody can take the stream over until it ends; `work` is told where the stream is.
 *
 * @throws ATTEMPT_FENCED, and what `work` throws: then nothing has happened
 */
export async function transact<Result>(
  attempt: Attempt,
  work: (session: Session, warehouse: MirrorWarehouse, now: SinkState) => Promise<Result>,
  /** Tells a transaction whose COMMIT got no answer from one that never was. */
  isCommitted: (state: SinkState) => boolean,
): Promise<Result> {
  const { session, warehouse } = await mirrorSession(attempt);
  await using _session = session;
  await session.execute('BEGIN');
  let result: Result;
  try {
    await warehouse.ledger.hold(session, attempt.owner, attempt.fence);
    passing('redshift.apply.fenced');
    result = await work(session, warehouse, await readStream(session, attempt.owner));
    passing('redshift.apply.recorded');
  } catch (error) {
    await session.execute('ROLLBACK').catch(() => {});
    throw error;
  }
  await commit(attempt, session, isCommitted);
  passing('redshift.apply.committed');
  return result;
}

async function commit(attempt: Attempt, session: Session, isCommitted: (state: SinkState) => boolean): Promise<void> {
  try {
    const { command } = await session.execute('COMMIT');
    if (command !== 'ROLLBACK') return;
  } catch (error) {
    if (!isMillraceError(error) || error.code !== 'CONNECTION_FAILED') throw error;
    if (await stateNow(attempt).then(isCommitted, () => false)) return;
    throw error;
  }
  throw new MillraceError('LOAD_CONFLICT', {
    message: 'The warehouse rolled changes back where it was told to commit.',
    remedy: 'Nothing to do: they are applied again.',
  });
}

/** Once the transaction before has let go of the fence. */
async function stateNow(attempt: Attempt): Promise<SinkState> {
  const { session, warehouse } = await mirrorSession(attempt);
  await using _session = session;
  await session.execute('BEGIN');
  await warehouse.ledger.hold(session, attempt.owner, attempt.fence);
  const state = await readStream(session, attempt.owner);
  await session.execute('COMMIT');
  return state;
}
