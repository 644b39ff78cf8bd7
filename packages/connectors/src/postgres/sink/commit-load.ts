import { setTimeout as sleep } from 'node:timers/promises';
import { type Checkpoint, isMillraceError, MillraceError, type Receipt, type StagedPart } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { type Beside, buildBeside, swapIn } from './build-beside.ts';
import { checkOrder, findApplied, findCheckpoint, holdOwner, recordLoad } from './checkpoint.ts';
import { dependentsOf } from './dependents.ts';
import { passing } from './failpoints.ts';
import { holdFence } from './fence.ts';
import { transaction } from './ledger.ts';
import { attemptSession, type LoadWork, quotedTarget, shownName } from './load-work.ts';
import { refill } from './refill.ts';
import type { StagedRows } from './staged-rows.ts';
import { type Changed, insertRows, mergeRows, type Writing, writeHistory } from './write-table.ts';

/** Where the rows of a load are when it commits. */
export type Held =
  /** In the table already, in this transaction. */
  | { readonly at: 'target' }
  /** In a table beside it, in this transaction. */
  | { readonly at: 'beside'; readonly beside: Beside }
  | { readonly at: 'staging'; readonly rows: StagedRows };

/** How long the locks of a commit are waited for. */
const lockWait = '60s';
/** Enough to sort what is staged without many passes; a server that is set to more keeps it. */
const sortMemory = '64MB';

/**
 * The one transaction of a load, already begun: data, receipt and checkpoint together. Locks are taken in one order (owner, fence,
 * table), so two loads wait for each other and never in a circle.
 *
 * @throws ATTEMPT_FENCED, CHECKPOINT_MOVED, LOAD_CONFLICT
 */
export async function commitLoad(
  work: LoadWork,
  session: Session,
  held: Held,
  parts: readonly StagedPart[],
  checkpoint: Checkpoint,
): Promise<Receipt> {
  const { load, mode, fence } = work;
  await session.execute(`SET LOCAL lock_timeout = '${lockWait}'`);
  await session.execute(
    `SELECT set_config('work_mem', '${sortMemory}', true) WHERE pg_size_bytes(current_setting('work_mem')) < pg_size_bytes('${sortMemory}')`,
  );
  await holdOwner(session, load.owner);
  await holdFence(session, fence);
  const earlier = await findApplied(session, load.id);
  if (earlier) {
    await session.execute('ROLLBACK');
    return earlier;
  }
  checkOrder(await findCheckpoint(session, load.owner), load, mode, checkpoint.window);
  passing(`postgres.${mode}.fenced`);
  const rows = sum(parts, 'rows');
  const changed = await write(work, session, held, rows);
  passing(`postgres.${mode}.written`);
  const receipt: Receipt = { loadId: load.id, rows, bytes: sum(parts, 'bytes'), changed, checkpoint };
  await recordLoad(session, load, receipt);
  passing(`postgres.${mode}.recorded`);
  const answer = await commit(work, session, receipt);
  passing(`postgres.${mode}.committed`);
  return answer;
}

const sum = (parts: readonly StagedPart[], of: 'rows' | 'bytes'): number => parts.reduce((total, part) => total + part[of], 0);

async function write(work: LoadWork, session: Session, held: Held, rows: number): Promise<Changed> {
  const { settings, mode, table, context } = work;
  const target = quotedTarget(work);
  const pause = async (ms: number): Promise<void> => void (await sleep(ms, undefined, { signal: context.signal }));
  const writing: Writing = {
    session,
    table,
    target,
    mode,
    key: settings.table.key ?? [],
    history: settings.history,
    closeMissing: settings.closeMissing && work.load.window === null,
    time: context.run.logicalTime,
  };
  if (held.at === 'target') return { inserted: rows };
  if (held.at === 'beside') {
    await swapIn(session, held.beside, pause);
    return { inserted: rows };
  }
  switch (mode) {
    case 'append':
      return insertRows(session, target, held.rows, rows);
    case 'merge':
      return mergeRows(writing, held.rows, rows);
    case 'history':
      return writeHistory(writing, held.rows);
    case 'replace': {
      const dependents = await dependentsOf(session, table.oid);
      if (dependents.reasons.length > 0) {
        if (work.load.parallel) logRefill(work, dependents.reasons);
        return refill(writing, held.rows, rows, dependents, pause);
      }
      const beside = await buildBeside(session, table, work.load.id);
      const changed = await insertRows(session, beside.quoted, held.rows, rows);
      await swapIn(session, beside, pause);
      return changed;
    }
    default:
      return mode satisfies never;
  }
}

export function logRefill(work: LoadWork, reasons: readonly string[]): void {
  work.context.log.info(`${shownName(work.table)} is emptied and filled again rather than swapped: ${reasons.join('; ')}.`);
}

/** Where the answer to COMMIT is lost, the ledger knows: looked up once the transaction has ended either way, never repeated. */
async function commit(work: LoadWork, session: Session, receipt: Receipt): Promise<Receipt> {
  const [row] = await session.query('SELECT pg_backend_pid() AS pid');
  try {
    const { command } = await session.execute('COMMIT');
    if (command === 'COMMIT') return receipt;
  } catch (error) {
    if (!isMillraceError(error) || error.code !== 'CONNECTION_FAILED') throw error;
    const found = await lookUp(work, Number(row?.['pid'])).catch(() => null);
    if (found) return found;
    throw error;
  }
  throw new MillraceError('LOAD_CONFLICT', {
    message: `${shownName(work.table)}: the database rolled the load back where it was told to commit.`,
    remedy: 'Nothing to do: it is tried again.',
  });
}

async function lookUp(work: LoadWork, pid: number): Promise<Receipt | null> {
  await using session = await attemptSession(work);
  // The backend may not have noticed yet that its client is gone.
  await session.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND usename = current_user', [pid]);
  return await transaction(session, async () => {
    await session.execute(`SET LOCAL lock_timeout = '${lockWait}'`);
    // Held by the lost transaction until its end: after this line the ledger has the truth.
    await holdFence(session, work.fence);
    return findApplied(session, work.load.id);
  });
}
