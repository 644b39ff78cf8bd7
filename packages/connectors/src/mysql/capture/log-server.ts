import { MariaPosition } from '../binlog/maria-gtid.ts';
import { GtidSet } from '../binlog/mysql-gtid.ts';
import type { Session, TextRow } from '../session.ts';
import type { StreamPlace } from './stream-position.ts';

/** A server as far as its log matters. */
export interface LogServer {
  readonly flavour: 'mysql' | 'mariadb';
  /** How its transactions are named: MariaDB always has GTIDs, MySQL with gtid_mode = ON. */
  readonly counts: StreamPlace['by'];
  /** By which replicas know it: it stays with the data directory. */
  readonly uuid: string;
  readonly serverId: number;
  /** Letters of names of tables and databases count in lower case alone (lower_case_table_names is not 0). */
  readonly foldsNames: boolean;
}

export async function readLogServer(session: Session): Promise<LogServer> {
  const { flavour } = session.server;
  if (flavour === 'mariadb') {
    const [row] = await session.query('SELECT @@server_id AS id, @@lower_case_table_names AS folds');
    return { flavour, counts: 'maria-gtid', uuid: '', serverId: Number(row?.['id']), foldsNames: row?.['folds'] !== '0' };
  }
  const [row] = await session.query(
    'SELECT @@server_id AS id, @@server_uuid AS uuid, @@gtid_mode AS mode, @@lower_case_table_names AS folds',
  );
  return {
    flavour,
    counts: row?.['mode'] === 'ON' ? 'mysql-gtid' : 'file',
    uuid: row?.['uuid'] ?? '',
    serverId: Number(row?.['id']),
    foldsNames: row?.['folds'] !== '0',
  };
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
  const row = await readLogStatus(session);
  const name = row?.['File'] ?? '';
  return { name, file: fileNumber(name), offset: Number(row?.['Position'] ?? 0) };
}

export async function readLogStatus(session: Session): Promise<TextRow | undefined> {
  const { flavour, version } = session.server;
  const [row] = await session.query(flavour === 'mysql' && version >= 80_200 ? 'SHOW BINARY LOG STATUS' : 'SHOW MASTER STATUS');
  return row;
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

/** Where the request for a log can begin. */
const farthestOffset = 2 ** 32 - 1;

/**
 * Where to ask for a log that was read up to `offset` of `file`: there, or further ahead in the file where a request cannot name the place. Transactions
 * that come again are known by their places.
 */
export function startInFiles(
  files: readonly LogFile[],
  { file, offset }: { readonly file: number; readonly offset: number },
): { readonly name: string; readonly offset: number } {
  const at = files.findIndex((one) => one.file === file);
  const next = files[at + 1];
  // A file as large ends behind the transaction that made it so.
  if (offset > farthestOffset && next && offset >= (files[at]?.bytes ?? 0)) return { name: next.name, offset: 4 };
  return { name: files[at]?.name ?? '', offset: offset > farthestOffset ? 4 : offset };
}
