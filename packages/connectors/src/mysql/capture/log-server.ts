import { MariaPosition } from '../binlog/maria-gtid.ts';
import { GtidSet } from '../binlog/mysql-gtid.ts';
import type { Session } from '../session.ts';
import type { StreamPlace } from './stream-position.ts';

/** A server as far as its log matters. */
export interface LogServer {
  readonly flavour: 'mysql' | 'mariadb';
  /** How its transactions are named: MariaDB always has GTIDs, MySQL with gtid_mode = ON. */
  readonly counts: StreamPlace['by'];
  /** By which replicas know it: it stays with the data directory. */
  readonly uuid: string;
  readonly serverId: number;
}

export async function readLogServer(session: Session): Promise<LogServer> {
  const { flavour } = session.server;
  if (flavour === 'mariadb') {
    const [row] = await session.query('SELECT @@server_id AS id');
    return { flavour, counts: 'maria-gtid', uuid: '', serverId: Number(row?.['id']) };
  }
  const [row] = await session.query('SELECT @@server_id AS id, @@server_uuid AS uuid, @@gtid_mode AS mode');
  return { flavour, counts: row?.['mode'] === 'ON' ? 'mysql-gtid' : 'file', uuid: row?.['uuid'] ?? '', serverId: Number(row?.['id']) };
}

/** Where the log ends now. */
export async function endOfLog(session: Session, { counts }: LogServer): Promise<StreamPlace> {
  switch (counts) {
    case 'maria-gtid': {
      const [row] = await session.query('SELECT @@global.gtid_binlog_pos AS position');
      return { by: 'maria-gtid', position: MariaPosition.parse(row?.['position'] ?? '') };
    }
    case 'mysql-gtid': {
      const [row] = await session.query('SELECT @@global.gtid_executed AS executed');
      return { by: 'mysql-gtid', set: GtidSet.parse((row?.['executed'] ?? '').replace(/\s/g, '')) };
    }
    case 'file': {
      const { file, offset } = await endOfFiles(session);
      return { by: 'file', file, offset };
    }
    default:
      return counts satisfies never;
  }
}

/** Where in its files the log ends. */
export async function endOfFiles(session: Session): Promise<{ readonly name: string; readonly file: number; readonly offset: number }> {
  const { flavour, version } = session.server;
  const [row] = await session.query(flavour === 'mysql' && version >= 80_200 ? 'SHOW BINARY LOG STATUS' : 'SHOW MASTER STATUS');
  const name = row?.['File'] ?? '';
  return { name, file: fileNumber(name), offset: Number(row?.['Position'] ?? 0) };
}

/** `mysql-bin.000017` is 17. */
export const fileNumber = (name: string): number => Number(/\.(\d+)$/.exec(name)?.[1] ?? 0);

export interface LogFile {
  readonly name: string;
  readonly file: number;
  readonly bytes: number;
}

/** Oldest first. */
export async function readLogFiles(session: Session): Promise<LogFile[]> {
  const rows = await session.query('SHOW BINARY LOGS');
  return rows.map((row) => ({
    name: row['Log_name'] ?? '',
    file: fileNumber(row['Log_name'] ?? ''),
    bytes: Number(row['File_size'] ?? 0),
  }));
}
