import { createHash } from 'node:crypto';
import {
  type Checkpoint,
  type Fence,
  isMillraceError,
  type LoadOwner,
  type LoadSpec,
  MillraceError,
  type Receipt,
} from '@millrace/core/runtime';
import type { StoredCheckpoint } from '../../postgres/sink/checkpoint.ts';
import type { Dialect } from '../dialect.ts';
import type { Parameter } from '../protocol.ts';
import type { JdbcSession } from '../session.ts';

/**
 * Millrace's own tables beside the target: who may write (`millrace_fence`), what has been written (`millrace_applied`,
 * `millrace_checkpoint`) and what waits to be (`millrace_staged`). Keys are hashes, since databases differ in how long a key may be.
 */
export interface Ledger {
  readonly session: JdbcSession;
  /** The table's name with the target's schema before it. */
  readonly name: (table: string) => string;
}

/** Receipts and fences of loads that nobody tries again any more. */
const keptMs = 180 * 24 * 60 * 60 * 1000;

export const hash = (text: string): string => createHash('sha256').update(text).digest('hex');
export const text = (value: string | null): Parameter => ({ kind: 'text', value });
export const whole = (value: number): Parameter => ({ kind: 'long', value: String(value) });

/** Makes what is missing. Safe beside others that do the same. */
export async function openLedger(ledger: Ledger, dialect: Dialect): Promise<void> {
  const int8 = dialect.ddlType({ kind: 'int8' }) ?? 'BIGINT';
  const json = dialect.product === 'sqlserver' ? 'NVARCHAR(4000)' : 'VARCHAR(4000)';
  const tables = {
    millrace_fence: `fence_key VARCHAR(64) NOT NULL PRIMARY KEY, attempt ${int8} NOT NULL, touched_at VARCHAR(30) NOT NULL`,
    millrace_applied: `load_id VARCHAR(64) NOT NULL PRIMARY KEY, receipt ${json} NOT NULL, applied_at VARCHAR(30) NOT NULL`,
    millrace_checkpoint: `owner_id VARCHAR(64) NOT NULL PRIMARY KEY, owner_name ${json} NOT NULL, checkpoint_json ${json} NOT NULL, run_at VARCHAR(40) NOT NULL`,
    millrace_staged: `table_name VARCHAR(255) NOT NULL PRIMARY KEY, fence_key VARCHAR(64) NOT NULL, attempt ${int8} NOT NULL, staged_at VARCHAR(30) NOT NULL`,
  };
  for (const [table, columns] of Object.entries(tables)) {
    if (await isThere(ledger, table)) continue;
    try {
      await ledger.session.query(`CREATE TABLE ${ledger.name(table)} (${columns})`, [], table);
    } catch (error) {
      if (!(await isThere(ledger, table))) throw error;
    }
  }
}

/** Nothing of ours has to be there to know that no load was committed. */
export async function isThere({ session, name }: Ledger, table: string): Promise<boolean> {
  try {
    await session.query(`SELECT COUNT(*) FROM ${name(table)} WHERE 1 = 0`, [], table);
    return true;
  } catch (error) {
    if (isMillraceError(error) && (error.code === 'TABLE_MISSING' || error.code === 'STATEMENT_FAILED')) return false;
    throw error;
  }
}

export const ownerKey = ({ pipeline, step }: LoadOwner): string => hash(`owner ${JSON.stringify([pipeline, step])}`);
export const fenceKey = ({ key }: Fence): string => hash(`fence ${key}`);

/** Makes this attempt the one that may commit. @throws ATTEMPT_FENCED where a newer attempt was here */
export async function takeFence(ledger: Ledger, fence: Fence, now: Date): Promise<void> {
  const { session, name } = ledger;
  const key = fenceKey(fence);
  for (let tries = 0; ; tries++) {
    const { affected } = await session.query(
      `UPDATE ${name('millrace_fence')} SET attempt = ?, touched_at = ? WHERE fence_key = ? AND attempt <= ?`,
      [whole(fence.epoch), text(now.toISOString()), text(key), whole(fence.epoch)],
    );
    if (affected === 1) return;
    const { rows } = await session.query(`SELECT attempt FROM ${name('millrace_fence')} WHERE fence_key = ?`, [text(key)]);
    if (rows.length > 0 && Number(rows[0]?.[0]) > fence.epoch) throw fenced(fence);
    try {
      await addFence(ledger, key, fence.epoch, now);
      return;
    } catch (error) {
      // Another attempt has added it at this moment.
      if (tries > 3 || !isMillraceError(error) || error.code !== 'TYPE_MISMATCH') throw error;
    }
  }
}

/** Loads of one owner commit one after another: this is the row that they wait for. */
export async function addOwner(ledger: Ledger, owner: LoadOwner, now: Date): Promise<void> {
  const { session, name } = ledger;
  const key = ownerKey(owner);
  const { rows } = await session.query(`SELECT attempt FROM ${name('millrace_fence')} WHERE fence_key = ?`, [text(key)]);
  if (rows.length > 0) return;
  try {
    await addFence(ledger, key, 0, now);
  } catch (error) {
    if (!isMillraceError(error) || error.code !== 'TYPE_MISMATCH') throw error;
  }
}

async function addFence({ session, name }: Ledger, key: string, attempt: number, now: Date): Promise<void> {
  await session.query(`INSERT INTO ${name('millrace_fence')} (fence_key, attempt, touched_at) VALUES (?, ?, ?)`, [
    text(key),
    whole(attempt),
    text(now.toISOString()),
  ]);
}

/** Inside the transaction that commits: nobody can take the fence until it ends. @throws ATTEMPT_FENCED, LOAD_CONFLICT */
export async function holdFence({ session, name }: Ledger, owner: LoadOwner, fence: Fence, now: Date): Promise<void> {
  const held = await session.query(`UPDATE ${name('millrace_fence')} SET attempt = attempt + 1, touched_at = ? WHERE fence_key = ?`, [
    text(now.toISOString()),
    text(ownerKey(owner)),
  ]);
  if (held.affected !== 1) throw ownerless(owner);
  const { affected } = await session.query(
    `UPDATE ${name('millrace_fence')} SET attempt = attempt + 0 WHERE fence_key = ? AND attempt = ?`,
    [text(fenceKey(fence)), whole(fence.epoch)],
  );
  if (affected !== 1) throw fenced(fence);
}

export async function findApplied({ session, name }: Ledger, loadId: string): Promise<Receipt | null> {
  const { rows } = await session.query(`SELECT receipt FROM ${name('millrace_applied')} WHERE load_id = ?`, [text(hash(loadId))]);
  return rows[0]?.[0] ? (JSON.parse(rows[0][0]) as Receipt) : null;
}

export async function findCheckpoint({ session, name }: Ledger, owner: LoadOwner): Promise<StoredCheckpoint | null> {
  const { rows } = await session.query(`SELECT checkpoint_json, run_at FROM ${name('millrace_checkpoint')} WHERE owner_id = ?`, [
    text(ownerKey(owner)),
  ]);
  const [row] = rows;
  return row?.[0] ? { checkpoint: JSON.parse(row[0]) as Checkpoint, runAt: row[1] ?? '' } : null;
}

/** Notes the load and moves the checkpoint, in the load's own transaction. */
export async function recordLoad({ session, name }: Ledger, load: LoadSpec, receipt: Receipt, now: Date): Promise<void> {
  const before = text(new Date(now.getTime() - keptMs).toISOString());
  await session.query(`INSERT INTO ${name('millrace_applied')} (load_id, receipt, applied_at) VALUES (?, ?, ?)`, [
    text(hash(load.id)),
    text(JSON.stringify(receipt)),
    text(now.toISOString()),
  ]);
  const values = [text(JSON.stringify(receipt.checkpoint)), text(load.runAt)];
  const { affected } = await session.query(`UPDATE ${name('millrace_checkpoint')} SET checkpoint_json = ?, run_at = ? WHERE owner_id = ?`, [
    ...values,
    text(ownerKey(load.owner)),
  ]);
  if (affected === 0) {
    await session.query(`INSERT INTO ${name('millrace_checkpoint')} (checkpoint_json, run_at, owner_id, owner_name) VALUES (?, ?, ?, ?)`, [
      ...values,
      text(ownerKey(load.owner)),
      text(`${load.owner.pipeline}/${load.owner.step}`),
    ]);
  }
  await session.query(`DELETE FROM ${name('millrace_applied')} WHERE applied_at < ?`, [before]);
  await session.query(`DELETE FROM ${name('millrace_fence')} WHERE touched_at < ? AND attempt > 0`, [before]);
}

const ownerless = ({ pipeline, step }: LoadOwner): MillraceError =>
  new MillraceError('LOAD_CONFLICT', {
    message: `The row of millrace_fence that loads of ${pipeline}/${step} wait for has gone.`,
    remedy: 'Nothing to do: the load is done again, and adds it. Let nobody delete rows of millrace_fence.',
  });

const fenced = (fence: Fence): MillraceError =>
  new MillraceError('ATTEMPT_FENCED', {
    message: `Attempt ${fence.epoch} at ${fence.key} came too late: a newer one has taken over.`,
    remedy: 'Nothing to do: the newer attempt goes on.',
    facts: { key: fence.key, epoch: fence.epoch },
  });
