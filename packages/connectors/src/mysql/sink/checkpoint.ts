import { createHash } from 'node:crypto';
import type { Checkpoint, LoadOwner, LoadSpec, Receipt } from '@millrace/core/runtime';
import type { StoredCheckpoint } from '../../postgres/sink/checkpoint.ts';
import { literal } from '../literal.ts';
import type { Session } from '../session.ts';
import { ledger } from './ledger.ts';

/** Receipts and fences of loads that nobody tries again any more. */
const keptDays = 180;

export async function findApplied(session: Session, loadId: string): Promise<Receipt | null> {
  const [row] = await session.query(`SELECT receipt FROM ${ledger('applied')} WHERE load_id = ${literal(loadId)}`);
  return row ? (JSON.parse(row['receipt'] ?? '') as Receipt) : null;
}

export const ownerHash = ({ pipeline, step }: LoadOwner): string =>
  createHash('sha256')
    .update(JSON.stringify([pipeline, step]))
    .digest('hex');

/** Keeps other loads of the same owner waiting until the transaction ends. Its row is there from the first load on, without a checkpoint. */
export async function holdOwner(session: Session, owner: LoadOwner): Promise<void> {
  await session.execute(
    `INSERT INTO ${ledger('checkpoint')} (owner, pipeline, step) VALUES (${[ownerHash(owner), owner.pipeline, owner.step].map(literal).join(', ')}) ON DUPLICATE KEY UPDATE owner = owner`,
  );
}

export async function findCheckpoint(session: Session, owner: LoadOwner): Promise<StoredCheckpoint | null> {
  const [row] = await session.query(
    `SELECT checkpoint, run_at FROM ${ledger('checkpoint')} WHERE owner = ${literal(ownerHash(owner))} AND checkpoint IS NOT NULL`,
  );
  return row ? { checkpoint: JSON.parse(row['checkpoint'] ?? '') as Checkpoint, runAt: row['run_at'] ?? '' } : null;
}

/** Notes the load and moves the checkpoint, in the load's own transaction. */
export async function recordLoad(
  session: Session,
  load: Pick<LoadSpec, 'id' | 'owner' | 'run' | 'runAt'>,
  receipt: Receipt,
): Promise<void> {
  const { pipeline, step } = load.owner;
  await session.execute(
    `INSERT INTO ${ledger('applied')} (load_id, pipeline, step, run, receipt) VALUES (${[load.id, pipeline, step, load.run, JSON.stringify(receipt)].map(literal).join(', ')})`,
  );
  await session.execute(
    `UPDATE ${ledger('checkpoint')} SET checkpoint = ${literal(JSON.stringify(receipt.checkpoint))}, load_id = ${literal(load.id)}, run_at = ${literal(load.runAt)}, moved_at = CURRENT_TIMESTAMP WHERE owner = ${literal(ownerHash(load.owner))}`,
  );
}

/** How many rows of each table go after one load; the next load goes on. */
const forgottenAtOnce = 100;

/**
 * Takes away what nobody asks for any more, as well as it goes. Outside every transaction, and row by row: a DELETE by age would lock each
 * row that it looks at, and so wait for every load that is about to commit, and they for it.
 */
export async function forgetOld(session: Session): Promise<void> {
  try {
    await session.execute('SET SESSION innodb_lock_wait_timeout = 1');
    for (const [table, key, at] of [
      ['applied', 'load_id', 'applied_at'],
      ['fence', 'fence_key', 'touched_at'],
    ] as const) {
      const isOld = `${at} < CURRENT_TIMESTAMP - INTERVAL ${keptDays} DAY`;
      const old = await session.query(`SELECT ${key} AS key_ FROM ${ledger(table)} WHERE ${isOld} LIMIT ${forgottenAtOnce}`);
      for (const row of old) await session.execute(`DELETE FROM ${ledger(table)} WHERE ${key} = ${literal(row['key_'])} AND ${isOld}`);
    }
  } catch {
    // A later load does it.
  }
}
