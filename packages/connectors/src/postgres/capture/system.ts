import type { Session } from '../client.ts';
import { parseLsn } from '../replication/lsn.ts';
import type { ReplicationConnection } from '../replication/transport.ts';
import { readHistory, type TimelineHistory } from './stream-position.ts';

/** The server that is read. */
export interface SourceSystem {
  /** Made when the cluster was; a copy of it has the same. */
  readonly systemId: string;
  readonly database: string;
  readonly history: TimelineHistory;
  readonly isStandby: boolean;
}

export async function readSystem(connection: ReplicationConnection): Promise<SourceSystem> {
  const { systemId, timeline, dbname } = await connection.identifySystem();
  const { rows } = await connection.execute('select pg_is_in_recovery() as standby');
  return {
    systemId,
    database: dbname,
    history: timeline > 1 ? readHistory(timeline, await historyFile(connection, timeline)) : { current: timeline, earlier: [] },
    isStandby: rows[0]?.['standby'] === 't',
  };
}

async function historyFile(connection: ReplicationConnection, timeline: number): Promise<string> {
  const { rows } = await connection.execute(`TIMELINE_HISTORY ${timeline}`);
  return rows[0]?.['content'] ?? '';
}

/** As far as the server has written its log; a standby, as far as it has replayed that of its primary. */
export async function endOfLog(session: Session): Promise<bigint> {
  const [row] = await session.query(
    'select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end as lsn',
  );
  return parseLsn(row?.['lsn'] ?? '');
}
