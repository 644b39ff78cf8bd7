import { type Checkpoint, isMillraceError, type Receipt, type StagedPart } from '@millrace/core/runtime';
import { checkOrder } from '../../postgres/sink/checkpoint.ts';
import type { Session } from '../session.ts';
import { findApplied, findCheckpoint, forgetOld, holdOwner, recordLoad } from './checkpoint.ts';
import { passing } from './failpoints.ts';
import { attemptSession, closeAttempt, holdFence } from './fence.ts';
import { type LoadWork, quotedTarget, shownName } from './load-work.ts';
import {
  type Announced,
  announce,
  assertNoneAnnounced,
  buildBeside,
  dropBuilt,
  reasonsAgainst,
  settle,
  settleOne,
  swapIn,
} from './swap.ts';
import {
  type Changed,
  insertRows,
  mergeRows,
  prepareFresh,
  refillRows,
  type StagedRows,
  type Writing,
  writeHistory,
} from './write-table.ts';

/**
 * Data, receipt and checkpoint together, in one transaction or by one swap. Locks are taken in one order (owner, fence, table), and of
 * the ledger a load locks rows of its own alone, so two loads wait for each other and never in a circle.
 *
 * @throws ATTEMPT_FENCED, CHECKPOINT_MOVED, LOAD_CONFLICT
 */
export async function commitLoad(
  work: LoadWork,
  session: Session,
  rows: StagedRows,
  parts: readonly StagedPart[],
  checkpoint: Checkpoint,
): Promise<Receipt> {
  const { mode, context } = work;
  passing(`mysql.${mode}.begun`);
  await session.execute('SET SESSION innodb_lock_wait_timeout = 60');
  if (mode === 'merge' || mode === 'history') await prepareFresh(session, rows, work.settings.table.key ?? [], quotedTarget(work));
  if (mode === 'replace') {
    const reasons = await reasonsAgainst(session, work);
    if (reasons.length === 0) return commitSwap(work, session, rows, parts, checkpoint);
    context.log.info(`${shownName(work)} is emptied and filled again rather than swapped: ${reasons.join('; ')}.`);
  }
  await session.execute('START TRANSACTION');
  try {
    const earlier = await heldAlone(work, session, checkpoint);
    if (earlier) {
      await session.execute('ROLLBACK');
      return earlier;
    }
    const changed = await write(work, session, rows, sum(parts, 'rows'));
    passing(`mysql.${mode}.written`);
    const receipt = receiptOf(work, parts, changed, checkpoint);
    await recordLoad(session, work.load, receipt);
    passing(`mysql.${mode}.recorded`);
    await commit(work, session);
    passing(`mysql.${mode}.committed`);
    await forgetOld(session);
    return receipt;
  } catch (error) {
    if (!session.ended) await session.execute('ROLLBACK').catch(() => {});
    throw error;
  }
}

async function commitSwap(
  work: LoadWork,
  session: Session,
  rows: StagedRows,
  parts: readonly StagedPart[],
  checkpoint: Checkpoint,
): Promise<Receipt> {
  const { fence } = work;
  const staged = sum(parts, 'rows');
  const built = await buildBeside(session, work);
  let announced: Announced | null = null;
  try {
    const changed = await insertRows(session, built, rows, staged);
    passing('mysql.replace.built');
    const receipt = receiptOf(work, parts, changed, checkpoint);
    await session.execute('START TRANSACTION');
    const earlier = await heldAlone(work, session, checkpoint);
    if (earlier) {
      await session.execute('ROLLBACK');
      return earlier;
    }
    const swap = await announce(session, work, built, receipt);
    passing('mysql.replace.recorded');
    announced = swap; // or may be: an answer to COMMIT can be lost
    await session.execute('COMMIT');
    passing('mysql.replace.announced');
    await swapIn(session, fence, swap);
    passing('mysql.replace.committed');
    await forgetOld(session);
    return receipt;
  } catch (error) {
    if (!session.ended) await session.execute('ROLLBACK').catch(() => {});
    if (announced) {
      const found = await (isLost(error) ? lookUp(work) : settled(work, session, announced)).catch(() => null);
      if (found) return found;
    }
    throw error;
  } finally {
    // Its name is the target's once it has been swapped in; an announced one belongs to whoever settles it.
    if (!announced && !session.ended) await dropBuilt(session, built).catch(() => {});
  }
}

const isLost = (error: unknown): boolean => isMillraceError(error) && error.code === 'CONNECTION_FAILED';

/** The receipt of an earlier attempt that got as far as its commit; null where this one may go on. */
async function heldAlone(work: LoadWork, session: Session, checkpoint: Checkpoint): Promise<Receipt | null> {
  const { load, mode, fence } = work;
  await holdOwner(session, load.owner);
  await holdFence(session, fence);
  const earlier = await findApplied(session, load.id);
  if (earlier) return earlier;
  checkOrder(await findCheckpoint(session, load.owner), load, mode, checkpoint.window);
  await assertNoneAnnounced(session, work, quotedTarget(work));
  passing(`mysql.${mode}.fenced`);
  return null;
}

const sum = (parts: readonly StagedPart[], of: 'rows' | 'bytes'): number => parts.reduce((total, part) => total + part[of], 0);

const receiptOf = ({ load }: LoadWork, parts: readonly StagedPart[], changed: Changed, checkpoint: Checkpoint): Receipt => ({
  loadId: load.id,
  rows: sum(parts, 'rows'),
  bytes: sum(parts, 'bytes'),
  changed,
  checkpoint,
});

async function write(work: LoadWork, session: Session, rows: StagedRows, staged: number): Promise<Changed> {
  const { settings, mode, table, context, load } = work;
  const writing: Writing = {
    session,
    table,
    target: quotedTarget(work),
    mode,
    key: settings.table.key ?? [],
    history: settings.history,
    closeMissing: settings.closeMissing && load.window === null,
    time: context.run.logicalTime,
  };
  switch (mode) {
    case 'append':
      return insertRows(session, writing.target, rows, staged);
    case 'merge':
      return mergeRows(writing, rows);
    case 'history':
      return writeHistory(writing, rows);
    case 'replace':
      return refillRows(writing, rows, staged);
    default:
      return mode satisfies never;
  }
}

/** Where the answer to COMMIT is lost, the ledger knows: looked up once the transaction has ended either way, never repeated. */
async function commit(work: LoadWork, session: Session): Promise<void> {
  try {
    await session.execute('COMMIT');
  } catch (error) {
    if (!isMillraceError(error) || error.code !== 'CONNECTION_FAILED') throw error;
    if (!(await lookUp(work).catch(() => null))) throw error;
  }
}

/** After a refusal nobody else is needed to tell what became of one's own swap. Where this fails too, the next attempt does it. */
async function settled({ fence, load }: LoadWork, session: Session, announced: Announced): Promise<Receipt | null> {
  await settleOne(session, fence, announced);
  return findApplied(session, load.id);
}

async function lookUp(work: LoadWork): Promise<Receipt | null> {
  const { settings, context, fence, load } = work;
  const session = await attemptSession(settings.connection, context, fence);
  try {
    await session.execute('START TRANSACTION');
    // Held by the lost transaction until its end: after this line the ledger has the truth.
    await holdFence(session, fence);
    await session.execute('COMMIT');
    await settle(session, fence, quotedTarget(work), load.owner);
    return await findApplied(session, load.id);
  } finally {
    await closeAttempt(session);
  }
}
