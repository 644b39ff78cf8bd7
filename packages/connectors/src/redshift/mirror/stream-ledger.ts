import { type LoadOwner, type Position, positionOf, type SinkState, type StreamIdentity } from '@millrace/core/runtime';
import type { Session } from '../../postgres/client.ts';
import { lockAlone } from '../../postgres/sink/ledger.ts';
import type { MirrorWarehouse } from './mirror-warehouse.ts';

/**
 * How far streams have come in a warehouse, in the transaction of the data. One row for each stream and one for each table that is copied;
 * Redshift has neither row locks nor ON CONFLICT, so rows are deleted and inserted under the lock of the fence. `identity` and `position`
 * are words of its own.
 */
const tables = [
  'CREATE TABLE IF NOT EXISTS _millrace.warehouse_stream (pipeline varchar(256) NOT NULL, step varchar(256) NOT NULL, stream varchar(4096) NOT NULL, at_position varchar(1024) NOT NULL, moved_at timestamptz NOT NULL)',
  'CREATE TABLE IF NOT EXISTS _millrace.warehouse_table (pipeline varchar(256) NOT NULL, step varchar(256) NOT NULL, name varchar(1024) NOT NULL, at_position varchar(1024) NOT NULL)',
];

/** Any number will do, as long as every Millrace takes the same. */
const makingLock = 7_262_114_005;

export async function openStreamLedger(session: Session, { kind }: MirrorWarehouse): Promise<void> {
  await session.execute('BEGIN');
  try {
    // Two that make the same table at once: one of them would fail in Postgres, and waits in Redshift.
    if (kind === 'postgres') await lockAlone(session, makingLock);
    for (const statement of tables)
      await session.execute(kind === 'redshift' ? `${statement} DISTSTYLE ALL` : statement, [], 'the tables of the schema "_millrace"');
    await session.execute('COMMIT');
  } catch (error) {
    await session.execute('ROLLBACK').catch(() => {});
    throw error;
  }
}

const mine = 'pipeline = $1 AND step = $2';
const values = ({ pipeline, step }: LoadOwner): [string, string] => [pipeline, step];

export async function readStream(session: Session, owner: LoadOwner): Promise<SinkState> {
  const [stream] = await session.query(`SELECT stream, at_position FROM _millrace.warehouse_stream WHERE ${mine}`, values(owner));
  const copied = await session.query(`SELECT name, at_position FROM _millrace.warehouse_table WHERE ${mine}`, values(owner));
  return {
    identity: stream ? (JSON.parse(stream['stream'] as string) as StreamIdentity) : null,
    position: stream ? positionOf(stream['at_position'] as string) : null,
    copied: Object.fromEntries(copied.map((row) => [row['name'] as string, positionOf(row['at_position'] as string)])),
    deadLetters: 0,
  };
}

/** Tables that are no part of the stream any more are not followed, and so not copied. */
export async function forgetTables(session: Session, owner: LoadOwner, names: readonly string[]): Promise<void> {
  for (const name of names)
    await session.execute(`DELETE FROM _millrace.warehouse_table WHERE ${mine} AND name = $3`, [...values(owner), name]);
}

export interface StreamMove {
  readonly identity: StreamIdentity;
  readonly position: Position;
  readonly now: Date;
  /** A table that is copied, up to where. */
  readonly copied?: { readonly table: string; readonly position: Position };
  /** Forgets which tables are copied. */
  readonly anew?: boolean;
}

/** Within the transaction that holds the fence. */
export async function recordStream(
  session: Session,
  owner: LoadOwner,
  { identity, position, now, copied, anew }: StreamMove,
): Promise<void> {
  const of = values(owner);
  if (anew) await session.execute(`DELETE FROM _millrace.warehouse_table WHERE ${mine}`, of);
  if (copied) {
    await session.execute(`DELETE FROM _millrace.warehouse_table WHERE ${mine} AND name = $3`, [...of, copied.table]);
    await session.execute('INSERT INTO _millrace.warehouse_table (pipeline, step, name, at_position) VALUES ($1, $2, $3, $4)', [
      ...of,
      copied.table,
      copied.position,
    ]);
  }
  await session.execute(`DELETE FROM _millrace.warehouse_stream WHERE ${mine}`, of);
  await session.execute(
    'INSERT INTO _millrace.warehouse_stream (pipeline, step, stream, at_position, moved_at) VALUES ($1, $2, $3, $4, $5)',
    [...of, JSON.stringify(identity), position, now.toISOString()],
  );
}
