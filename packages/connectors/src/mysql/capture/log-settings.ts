import type { Finding } from '@millrace/core/runtime';
import type { Session } from '../session.ts';
import { readLogStatus } from './log-server.ts';

/** Variables of a server that say how it writes its log. Null where it has no such variable. */
export type LogVariables = Readonly<Record<string, string | null>>;

const names = [
  'log_bin',
  'binlog_format',
  'binlog_row_image',
  'binlog_row_metadata',
  'binlog_row_value_options',
  'binlog_expire_logs_seconds',
  'expire_logs_days',
  'gtid_mode',
  'gtid_strict_mode',
  'log_slave_updates',
  'log_replica_updates',
  'read_only',
  'server_id',
  'wsrep_on',
  'wsrep_gtid_mode',
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
    name: 'read_only',
    is: (value) => !on(value),
    why: 'the server takes no writes, and a stream keeps a few rows at its source',
    remedy: 'Capture from the primary. With GTIDs the stream goes on there after a failover.',
  },
];

/** What stands against capturing from this server at all. */
export function settingProblems(subject: string, variables: LogVariables): Finding[] {
  return [...valueProblems(subject, variables), ...clusterProblems(subject, variables)];
}

/** Nodes of a Galera cluster that number their transactions each for itself look like one source, and are several. */
function clusterProblems(subject: string, variables: LogVariables): Finding[] {
  if (!on(variables['wsrep_on'] ?? '') || variables['wsrep_gtid_mode'] === null) return [];
  const isNumbered = on(variables['wsrep_gtid_mode'] ?? '');
  if (isNumbered && logsReplicated(variables)) return [];
  return [
    {
      subject,
      level: 'problem',
      message: isNumbered
        ? 'log_slave_updates is OFF: what other nodes of the cluster write is not in the log of this one'
        : 'wsrep_gtid_mode is OFF: each node of the cluster numbers transactions for itself, so a stream could go on at the wrong place of another one',
      remedy:
        'Set wsrep_gtid_mode = ON and log_slave_updates = ON on all nodes, with one wsrep_gtid_domain_id and another gtid_domain_id on each, and restart them one after another.',
    },
  ];
}

function valueProblems(subject: string, variables: LogVariables): Finding[] {
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

/** Databases that are named where the server writes its log: of which it does, and of which it does not. Empty for no such list. */
export interface LogFilter {
  readonly only: readonly string[];
  readonly without: readonly string[];
}

export async function readLogFilter(session: Session): Promise<LogFilter> {
  const status = await readLogStatus(session);
  const names = (field: string): string[] => (status?.[field] ?? '').split(',').filter((name) => name !== '');
  return { only: names('Binlog_Do_DB'), without: names('Binlog_Ignore_DB') };
}

/** Rows go by the database of their table, statements (TRUNCATE, ALTER) by that of their session. */
export function filterProblems(subject: string, { only, without }: LogFilter, databases: readonly string[]): Finding[] {
  if (only.length === 0 && without.length === 0) return [];
  const isLogged = (name: string): boolean => (only.length > 0 ? only.includes(name) : !without.includes(name));
  const setting = only.length > 0 ? `binlog_do_db = ${only.join(', ')}` : `binlog_ignore_db = ${without.join(', ')}`;
  const remedy = "Take binlog_do_db and binlog_ignore_db out of the server's file of settings, and restart it.";
  const problems = databases
    .filter((name) => !isLogged(name))
    .map((name): Finding => ({ subject, level: 'problem', message: `${setting}: what happens in "${name}" is not in the log`, remedy }));
  if (problems.length > 0) return problems;
  const message = `${setting}: ALTER and TRUNCATE of a captured table are not in the log where a session in another database runs them`;
  return [{ subject, level: 'warning', message, remedy }];
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
