import { type Checkpoint, type LoadMode, type LoadOwner, type LoadSpec, MillraceError, type Receipt } from '@millrace/core/runtime';
import type { Session } from '../client.ts';

/** Receipts and fences of loads that nobody tries again any more. */
const kept = '180 days';

export interface StoredCheckpoint {
  readonly checkpoint: Checkpoint;
  readonly runAt: string;
}

export async function findApplied(session: Session, loadId: string): Promise<Receipt | null> {
  const [row] = await session.query('SELECT receipt FROM _millrace.applied WHERE load_id = $1', [loadId]);
  return row ? (JSON.parse(row['receipt'] as string) as Receipt) : null;
}

/** Keeps other loads of the same owner waiting until the transaction ends; a row lock would not, before there is a row. */
export async function holdOwner(session: Session, { pipeline, step }: LoadOwner): Promise<void> {
  await session.query(`SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, [`millrace checkpoint ${JSON.stringify([pipeline, step])}`]);
}

export async function findCheckpoint(session: Session, { pipeline, step }: LoadOwner): Promise<StoredCheckpoint | null> {
  const [row] = await session.query('SELECT checkpoint, run_at FROM _millrace.checkpoint WHERE pipeline = $1 AND step = $2', [
    pipeline,
    step,
  ]);
  return row ? { checkpoint: JSON.parse(row['checkpoint'] as string) as Checkpoint, runAt: row['run_at'] as string } : null;
}

/**
 * A window must begin where the last one ended, and one that is only kept must be the one that is there. A load without a window
 * replaces or merges everything, so an older run must not come after a newer one; plain appends know no order.
 *
 * @throws CHECKPOINT_MOVED
 */
export function checkOrder(stored: StoredCheckpoint | null, load: LoadSpec, mode: LoadMode, kept: Checkpoint['window'] = null): void {
  if (!stored) {
    if (load.window && load.window.low !== null && !load.fullRefresh) throw moved(load, 'there is no checkpoint', load.window.low);
    return;
  }
  if (!load.window || load.fullRefresh) {
    if (!load.window && kept && kept.high !== stored.checkpoint.window?.high)
      throw moved(load, `its checkpoint is at ${stored.checkpoint.window?.high ?? 'no value'}`, kept.high);
    if (mode !== 'append' && stored.runAt > load.runAt)
      throw moved(load, `a run of ${stored.runAt} has loaded all rows`, `the run of ${load.runAt}`);
    return;
  }
  const { window } = stored.checkpoint;
  const high = window && window.column === load.window.column ? window.high : null;
  if (high !== load.window.low) throw moved(load, `its checkpoint is at ${high ?? 'no value'}`, load.window.low ?? 'the beginning');
}

function moved(load: LoadSpec, found: string, begins: string): MillraceError {
  const { pipeline, step } = load.owner;
  return new MillraceError('CHECKPOINT_MOVED', {
    message: `${pipeline}/${step}: at the target ${found}, and this load begins at ${begins}.`,
    remedy:
      'Another run came in between. Cancel this one and start a new run, which begins where the target is; --full-refresh loads everything again.',
    facts: { pipeline, step, loadId: load.id },
  });
}

/** Notes the load and moves the checkpoint, in the load's own transaction. */
export async function recordLoad(session: Session, load: LoadSpec, receipt: Receipt): Promise<void> {
  const { pipeline, step } = load.owner;
  await session.execute('INSERT INTO _millrace.applied (load_id, pipeline, step, run, receipt) VALUES ($1, $2, $3, $4, $5)', [
    load.id,
    pipeline,
    step,
    load.run,
    JSON.stringify(receipt),
  ]);
  await session.execute(
    `INSERT INTO _millrace.checkpoint (pipeline, step, checkpoint, load_id, run_at) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (pipeline, step) DO UPDATE SET checkpoint = excluded.checkpoint, load_id = excluded.load_id, run_at = excluded.run_at, moved_at = now()`,
    [pipeline, step, JSON.stringify(receipt.checkpoint), load.id, load.runAt],
  );
  await session.execute(`DELETE FROM _millrace.applied WHERE applied_at < now() - interval '${kept}'`);
  await session.execute(`DELETE FROM _millrace.fence WHERE touched_at < now() - interval '${kept}'`);
}
