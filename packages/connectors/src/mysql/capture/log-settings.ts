import * as zlib from 'node:zlib';
import type { Finding } from '@millrace/core/runtime';
import type { Session } from '../session.ts';

/** Variables of a server that say how it writes its log. Null where it has no such variable. */
export type LogVariables = Readonly<Record<string, string | null>>;

const names = [
  'log_bin',
  'binlog_format',
  'binlog_row_image',
  'binlog_row_metadata',
  'binlog_row_value_options',
  'binlog_transaction_compression',
  'binlog_expire_logs_seconds',
  'expire_logs_days',
  'gtid_mode',
  'gtid_strict_mode',
  'log_slave_updates',
  'log_replica_updates',
  'read_only',
  'server_id',
] as const;

export async function readLogVariables(session: Session): Promise<LogVariables> {
  const rows = await session.query(`SHOW GLOBAL VARIABLES WHERE Variable_name IN (${names.map((name) => `'${name}'`).join(', ')})`);
  const found = new Map(rows.map((row) => [(row['Variable_name'] ?? '').toLowerCase(), row['Value'] ?? null]));
  return Object.fromEntries(names.map((name) => [name, found.get(name) ?? null]));
}

/** What has to have a value, and what to do where it has another. */
interface Needed {
  readonly name: (typeof names)[number];
  readonly is: (value: string) => boolean;
  readonly why: string;
  readonly remedy: string;
}

const set = (text: string): string =>
  `SET GLOBAL ${text}, and the same in the server's file of settings; on RDS and Aurora in the parameter group.`;
const on = (value: string): boolean => value === 'ON' || value === '1';

const needed: readonly Needed[] = [
  {
    name: 'log_bin',
    is: on,
    why: 'the server writes no binary log',
    remedy:
      'Set log_bin and server_id in its file of settings, and restart it. On RDS switch automated backups on; on Aurora set binlog_format = ROW in the cluster parameter group, and restart.',
  },
  {
    name: 'server_id',
    is: (value) => value !== '0',
    why: 'server_id is 0, so the server sends its log to nobody',
    remedy: set('server_id = 1'),
  },
  {
    name: 'binlog_format',
    is: (value) => value === 'ROW',
    why: 'the log has statements in place of rows',
    remedy: `${set("binlog_format = 'ROW'")} Sessions that are open keep what they had.`,
  },
  {
    name: 'binlog_row_image',
    is: (value) => value === 'FULL',
    why: 'the log leaves out columns of changed rows',
    remedy: `${set("binlog_row_image = 'FULL'")} Sessions that are open keep what they had.`,
  },
  {
    name: 'binlog_row_metadata',
    is: (value) => value === 'FULL',
    why: 'the log does not name the columns of rows, nor their character sets',
    remedy: `${set("binlog_row_metadata = 'FULL'")} It holds for what is written from then on.`,
  },
  {
    name: 'binlog_row_value_options',
    is: (value) => value === '',
    why: 'updates bring only the changed parts of JSON values',
    remedy: set("binlog_row_value_options = ''"),
  },
  {
    name: 'binlog_transaction_compression',
    is: (value) => !on(value) || 'zstdDecompressSync' in zlib,
    why: `transactions are compressed in a way that Node.js ${process.version} cannot read`,
    remedy: `${set('binlog_transaction_compression = OFF')} Or run Node.js 22.15 or later.`,
  },
  {
    name: 'read_only',
    is: (value) => !on(value),
    why: 'the server takes no writes, and a stream keeps a few rows at its source',
    remedy: 'Capture from the primary. With GTIDs the stream goes on there after a failover.',
  },
];

/** What stands against capturing from this server at all. */
export function settingProblems(subject: string, variables: LogVariables): Finding[] {
  return needed.flatMap(({ name, is, why, remedy }): Finding[] => {
    const value = variables[name] ?? null;
    // Servers that do not know it cannot do it either, but for the names of columns, which old ones never log.
    const isWell = value === null ? name !== 'binlog_row_metadata' && name !== 'log_bin' : is(value);
    if (isWell) return [];
    const isOld = value === null && name === 'binlog_row_metadata';
    return [
      {
        subject,
        level: 'problem',
        message: isOld ? `${why}: the server is too old for binlog_row_metadata` : `${name} is ${value === '' ? "''" : value}: ${why}`,
        remedy: isOld ? 'Upgrade to MySQL 8.0 or MariaDB 10.5, or later.' : remedy,
      },
    ];
  });
}

/** A day: a stream that stands still for longer than its source keeps the log must copy everything again. */
const littleSeconds = 24 * 3600;

/** What a stream can live with, and should not have to. */
export function settingWarnings(subject: string, variables: LogVariables): Finding[] {
  const findings: Finding[] = [];
  const warn = (message: string, remedy: string): void => void findings.push({ subject, level: 'warning', message, remedy });
  if (variables['gtid_mode'] !== null && variables['gtid_mode'] !== 'ON') {
    warn(
      `gtid_mode is ${variables['gtid_mode']}: the stream counts by files of this one server, and ends where another takes its place`,
      'Set enforce_gtid_consistency = ON and gtid_mode = ON, step by step as the manual of MySQL says. Streams must begin anew afterwards.',
    );
  }
  if (variables['gtid_strict_mode'] !== null && !on(variables['gtid_strict_mode'] ?? '')) {
    warn('gtid_strict_mode is OFF: a transaction whose number does not rise would end the stream', set('gtid_strict_mode = ON'));
  }
  const seconds = keptSeconds(variables);
  if (seconds > 0 && seconds < littleSeconds) {
    warn(
      `the server keeps its log for ${Math.round(seconds / 360) / 10} hours: a stream that stands still for longer must copy its tables again`,
      set('binlog_expire_logs_seconds = 604800'),
    );
  }
  return findings;
}

/** 0 for ever. */
function keptSeconds(variables: LogVariables): number {
  const seconds = Number(variables['binlog_expire_logs_seconds'] ?? 0);
  return seconds > 0 ? seconds : Number(variables['expire_logs_days'] ?? 0) * 86_400;
}

/** A replica logs what it gets only where it is told to. */
export const logsReplicated = (variables: LogVariables): boolean =>
  on(variables['log_replica_updates'] ?? variables['log_slave_updates'] ?? 'ON');
