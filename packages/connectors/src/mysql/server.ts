import { literal } from './literal.ts';

/** What the server is, as far as statements depend on it. */
export interface Server {
  readonly flavour: 'mysql' | 'mariadb';
  /** 8.0.36 is 80036, 10.11.6 is 101106. */
  readonly version: number;
  readonly versionText: string;
  readonly readOnly: boolean;
  /** LOAD DATA LOCAL is allowed. */
  readonly localInfile: boolean;
  /** Bytes that a statement, or a row of an answer, may have. */
  readonly maxPacket: number;
}

/** Before it was asked. */
export const unknownServer: Server = {
  flavour: 'mysql',
  version: 0,
  versionText: '',
  readOnly: false,
  localInfile: false,
  maxPacket: 4 * 1024 * 1024,
};

export const serverQuery =
  'SELECT @@version AS version, @@global.read_only AS read_only, @@innodb_read_only AS reader, @@global.local_infile AS local_infile, @@max_allowed_packet AS max_packet';

/** The answer to `serverQuery`. */
export function serverOf(row: Readonly<Record<string, string | null>> | undefined): Server {
  const versionText = row?.['version'] ?? '';
  return {
    flavour: /mariadb/i.test(versionText) ? 'mariadb' : 'mysql',
    version: numberOf(versionText),
    versionText,
    readOnly: isOn(row?.['read_only']) || isOn(row?.['reader']),
    localInfile: row?.['local_infile'] === '1',
    maxPacket: Number(row?.['max_packet']),
  };
}

/** A switch as any version prints it; some have more than two ways to be on. */
const isOn = (value: string | null | undefined): boolean => value !== '0' && value !== 'OFF';

/** `10.11.6-MariaDB-1`, and `5.5.5-10.4.2-MariaDB` of servers that hide from old clients. */
function numberOf(version: string): number {
  const [, major = '0', minor = '0', patch = '0'] = /^(?:5\.5\.5-)?(\d+)\.(\d+)\.(\d+)/.exec(version) ?? [];
  return Number(major) * 10_000 + Number(minor) * 100 + Number(patch);
}

/**
 * What makes the text of a value the same on every server, refuses values that do not fit instead of bending them, and keeps the server
 * from ending a session that waits for the other end.
 */
const sessionSettings = [
  "time_zone = '+00:00'",
  'autocommit = 1',
  'sql_notes = 1',
  'sql_safe_updates = 0',
  'sql_select_limit = 18446744073709551615',
  'group_concat_max_len = 16777216',
  'foreign_key_checks = 1',
  'unique_checks = 1',
  'net_read_timeout = 3600',
  'net_write_timeout = 3600',
  'wait_timeout = 86400',
  'lock_wait_timeout = 120',
];
/**
 * 0 is no order to make up a number. Without NO_BACKSLASH_ESCAPES, in which MySQL cannot open a table that has a quote in a check or in a
 * generated column; our own statements have no backslash in them.
 */
const sqlMode = 'STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION';
/** MySQL keeps what it tells of the sizes of tables for a day, unless told otherwise. */
const byFlavour = {
  mysql: ['max_execution_time = 0', 'information_schema_stats_expiry = 0'],
  mariadb: ['max_statement_time = 0'],
};

/** What a session begins with. With `ownMode` it keeps the server's `sql_mode`. */
export function settingStatements({ flavour }: Server, ownMode: boolean): string[] {
  const settings = [...sessionSettings, ...byFlavour[flavour], ...(ownMode ? [] : [`sql_mode = ${literal(sqlMode)}`])];
  return [
    'SET NAMES utf8mb4',
    `SET ${settings.map((setting) => `SESSION ${setting}`).join(', ')}`,
    'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ',
  ];
}
