import { type Fence, type LoadOwner, type LoadSpec, MillraceError, type Receipt } from '@millrace/core/runtime';
import type { Session } from '../postgres/client.ts';
import { findApplied, findCheckpoint, holdOwner, recordLoad, type StoredCheckpoint } from '../postgres/sink/checkpoint.ts';
import { holdFence, takeFence } from '../postgres/sink/fence.ts';
import { ledgerVersion, openLedger } from '../postgres/sink/ledger.ts';
import { postgresLedger, type SqlLedger } from '../postgres/sink/sql-runner.ts';

/** Millrace's own tables in the warehouse. The names are those of the Postgres ledger; Redshift has no row locks, no jsonb and no ON CONFLICT. */
export interface Ledger {
  open(session: Session): Promise<void>;
  exists(session: Session): Promise<boolean>;
  take(session: Session, fence: Fence): Promise<void>;
  /** The first statement of the transaction: nobody else commits a load of this owner, or takes the fence, until it ends. */
  hold(session: Session, owner: LoadOwner, fence: Fence): Promise<void>;
  applied(session: Session, loadId: string): Promise<Receipt | null>;
  checkpoint(session: Session, owner: LoadOwner): Promise<StoredCheckpoint | null>;
  /** `finished` is false where more transactions of the same load follow: then only the checkpoint moves. */
  record(session: Session, load: LoadSpec, receipt: Receipt, finished: boolean): Promise<void>;
  readonly sql: SqlLedger;
}

/** Of a plain Postgres that stands for the warehouse. */
export const postgresWarehouseLedger: Ledger = {
  open: openLedger,
  exists: async (session) => (await ledgerVersion(session)) > 0,
  take: takeFence,
  async hold(session, owner, fence) {
    await session.execute(`SET LOCAL lock_timeout = '60s'`);
    await holdOwner(session, owner);
    await holdFence(session, fence);
  },
  applied: findApplied,
  checkpoint: findCheckpoint,
  async record(session, load, receipt, finished) {
    await recordLoad(session, load, receipt);
    if (!finished) await session.execute('DELETE FROM _millrace.applied WHERE load_id = $1', [load.id]);
  },
  sql: postgresLedger,
};

const text = 'varchar(65535)';
const redshiftTables: readonly string[] = [
  'CREATE SCHEMA IF NOT EXISTS _millrace',
  'CREATE TABLE IF NOT EXISTS _millrace.fence (key varchar(1024) NOT NULL, epoch bigint NOT NULL, touched_at timestamptz NOT NULL) DISTSTYLE ALL',
  `CREATE TABLE IF NOT EXISTS _millrace.applied (load_id varchar(256) NOT NULL, pipeline varchar(256), step varchar(256), run varchar(256), receipt ${text} NOT NULL, applied_at timestamptz NOT NULL) DISTSTYLE ALL`,
  `CREATE TABLE IF NOT EXISTS _millrace.checkpoint (pipeline varchar(256) NOT NULL, step varchar(256) NOT NULL, checkpoint ${text} NOT NULL, load_id varchar(256) NOT NULL, run_at varchar(64) NOT NULL, moved_at timestamptz NOT NULL) DISTSTYLE ALL`,
];

const kept = '180 days';

/**
 * Of Redshift. A table lock taken first, before the transaction's snapshot, makes commits come one after another; without it two of
 * them would both read the old state, and one would end in error 1023.
 */
export const redshiftLedger: Ledger = {
  async open(session) {
    if (await this.exists(session)) return;
    for (const statement of redshiftTables)
      await session.execute(statement, [], 'the schema "_millrace" (it needs CREATE on the database)');
  },

  async exists(session) {
    const [row] = await session.query(
      `SELECT count(*) AS tables FROM svv_tables WHERE table_schema = '_millrace' AND table_name IN ('fence', 'applied', 'checkpoint')`,
    );
    return row?.['tables'] === '3';
  },

  async take(session, fence) {
    await session.execute('BEGIN');
    try {
      await session.execute('LOCK TABLE _millrace.fence');
      const [row] = await session.query('SELECT max(epoch) AS epoch FROM _millrace.fence WHERE key = $1', [fence.key]);
      const epoch = row?.['epoch'] ?? null;
      if (epoch !== null && Number(epoch) > fence.epoch) throw fenced(fence);
      await session.execute('DELETE FROM _millrace.fence WHERE key = $1', [fence.key]);
      await session.execute('INSERT INTO _millrace.fence (key, epoch, touched_at) VALUES ($1, $2, getdate())', [fence.key, fence.epoch]);
      await session.execute('COMMIT');
    } catch (error) {
      await session.execute('ROLLBACK').catch(() => {});
      throw error;
    }
  },

  async hold(session, _owner, fence) {
    await session.execute('LOCK TABLE _millrace.fence, _millrace.checkpoint');
    const [row] = await session.query('SELECT max(epoch) AS epoch FROM _millrace.fence WHERE key = $1', [fence.key]);
    if (row?.['epoch'] !== String(fence.epoch)) throw fenced(fence);
  },

  async applied(session, loadId) {
    const [row] = await session.query('SELECT receipt FROM _millrace.applied WHERE load_id = $1', [loadId]);
    return row ? (JSON.parse(row['receipt'] as string) as Receipt) : null;
  },

  checkpoint: findCheckpoint,

  async record(session, load, receipt, finished) {
    const { pipeline, step } = load.owner;
    if (finished) {
      await session.execute(
        'INSERT INTO _millrace.applied (load_id, pipeline, step, run, receipt, applied_at) VALUES ($1, $2, $3, $4, $5, getdate())',
        [load.id, pipeline, step, load.run, JSON.stringify(receipt)],
      );
    }
    await session.execute('DELETE FROM _millrace.checkpoint WHERE pipeline = $1 AND step = $2', [pipeline, step]);
    await session.execute(
      'INSERT INTO _millrace.checkpoint (pipeline, step, checkpoint, load_id, run_at, moved_at) VALUES ($1, $2, $3, $4, $5, getdate())',
      [pipeline, step, JSON.stringify(receipt.checkpoint), load.id, load.runAt],
    );
    await session.execute(`DELETE FROM _millrace.applied WHERE applied_at < getdate() - interval '${kept}'`);
    await session.execute(`DELETE FROM _millrace.fence WHERE touched_at < getdate() - interval '${kept}'`);
  },

  sql: {
    open: (session) => redshiftLedger.open(session),
    take: (session, fence) => redshiftLedger.take(session, fence),
    hold: (session, fence) => redshiftLedger.hold(session, { pipeline: '', step: '' }, fence),
    async find(session, id) {
      const [row] = await session.query('SELECT receipt FROM _millrace.applied WHERE load_id = $1', [id]);
      return row?.['receipt'] ?? null;
    },
    async note(session, id, result) {
      await session.execute('INSERT INTO _millrace.applied (load_id, receipt, applied_at) VALUES ($1, $2, getdate())', [
        id,
        result.slice(0, 60_000),
      ]);
    },
    isPostgres: () => false,
    transactionId: () => null,
  },
};

const fenced = (fence: Fence): MillraceError =>
  new MillraceError('ATTEMPT_FENCED', {
    message: `Attempt ${fence.epoch} at ${fence.key} came too late: a newer one has taken over.`,
    remedy: 'Nothing to do: the newer attempt goes on.',
    facts: { key: fence.key, epoch: fence.epoch },
  });
