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
  await session.execute(`DELETE FROM ${ledger('applied')} WHERE applied_at < CURRENT_TIMESTAMP - INTERVAL ${keptDays} DAY`);
  await session.execute(`DELETE FROM ${ledger('fence')} WHERE touched_at < CURRENT_TIMESTAMP - INTERVAL ${keptDays} DAY`);
}
