// A MariaDB for tests: Debian's, unpacked under .millrace/mariadb with an empty data directory that every server begins with a copy of.
// Where MILLRACE_TEST_MYSQLD names a mysqld of MySQL, the same tests run on that.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findUnpacked, unpack, unpackedAt } from './debian.mjs';

const program = {
  title: 'MariaDB',
  folder: 'mariadb',
  packages: ['mariadb-server-core', 'mariadb-client-core'],
  dependingPackages: ['mariadb-server-core', 'mariadb-client-core'],
  command: 'usr/sbin/mariadbd',
  version: ['--no-defaults', '--version'],
};

/**
 * How to start it. `client` is its own command line, `share` has its messages and character sets, `data` is the data directory to copy, `storage`
 * the sizes of files that it was made with.
 * @typedef {import('./debian.mjs').Unpacked & { flavour: 'mariadb' | 'mysql', client: string, share: string, data: string, storage: string[] }} MariaDb
 */

/** Small files: every test server has its own. */
const storage = [
  '--innodb-log-file-size=8M',
  '--innodb-data-file-path=ibdata1:8M:autoextend',
  '--innodb-undo-tablespaces=0',
  '--innodb-autoextend-increment=1',
];
const mysqlStorage = ['--innodb-redo-log-capacity=8M', '--innodb-data-file-path=ibdata1:8M:autoextend', '--innodb-autoextend-increment=1'];

/** @returns {MariaDb | { missing: string }} */
export function findMariaDb() {
  if (process.env.MILLRACE_TEST_MARIADB === 'off') return { missing: 'MILLRACE_TEST_MARIADB is "off"' };
  if (process.env.MILLRACE_TEST_MYSQLD) return findMySql(process.env.MILLRACE_TEST_MYSQLD);
  const unpacked = findUnpacked(program);
  const at = unpackedAt(program);
  return unpacked && existsSync(join(at, 'data', 'mysql'))
    ? {
        ...unpacked,
        flavour: 'mariadb',
        client: join(at, 'usr/bin/mariadb'),
        share: join(at, 'usr/share/mysql'),
        data: join(at, 'data'),
        storage,
      }
    : { missing: 'no MariaDB under .millrace/mariadb ("node scripts/mariadb.mjs" puts it there)' };
}

/**
 * @param {string} command
 * @returns {MariaDb | { missing: string }}
 */
function findMySql(command) {
  const version = spawnSync(command, ['--no-defaults', '--version'], { encoding: 'utf8' }).stdout?.match(/Ver ([\d.]+)/)?.[1];
  if (!version) return { missing: `MILLRACE_TEST_MYSQLD names "${command}", which does not say its version` };
  const share = process.env.MILLRACE_TEST_MYSQL_SHARE ?? '/usr/share/mysql';
  const client = process.env.MILLRACE_TEST_MYSQL_CLIENT ?? join(dirname(command), '../bin/mysql');
  const data = join(unpackedAt({ ...program, folder: 'mysql' }), version);
  /** @type {MariaDb} */
  const mysql = { flavour: 'mysql', command, libraries: process.env.LD_LIBRARY_PATH ?? '', client, share, data, storage: mysqlStorage };
  const why = existsSync(data) ? null : initialize(mysql);
  return why === null ? mysql : { missing: why };
}

/**
 * `root` has no password, and may come from anywhere.
 * @param {MariaDb} mysql
 * @returns {string | null}
 */
function initialize({ command, share, data }) {
  const making = `${data}.${process.pid}`; // whole or not at all
  mkdirSync(making, { recursive: true });
  const first = `${making}.sql`;
  writeFileSync(first, "rename user root@localhost to root@'%';\n");
  const { status, error, stderr } = spawnSync(
    command,
    [
      '--no-defaults',
      '--initialize-insecure',
      ...(process.getuid?.() === 0 ? ['--user=root'] : []),
      `--datadir=${making}`,
      `--lc-messages-dir=${share}`,
      `--character-sets-dir=${join(share, 'charsets')}`,
      `--init-file=${first}`,
      '--skip-log-bin',
      ...mysqlStorage,
    ],
    { encoding: 'utf8', timeout: 300_000 },
  );
  rmSync(first);
  if (status === 0 && !existsSync(data)) renameSync(making, data);
  rmSync(making, { recursive: true, force: true });
  return status === 0 ? null : `its data directory cannot be made: ${error?.message ?? stderr.trim().slice(-500)}`;
}

/**
 * Finds MariaDB, or unpacks Debian's where apt is there. Never fails: tests of MariaDB are left out, and the reason is printed.
 * @returns {MariaDb | { missing: string }}
 */
export function provideMariaDb() {
  const found = findMariaDb();
  if ('command' in found || process.env.MILLRACE_TEST_MARIADB === 'off') return found;
  return unpack(program, makeData) ?? findMariaDb();
}

/**
 * What mariadb-install-db does: the system tables. `root` has no password, and may come from anywhere on loopback.
 * @param {import('./debian.mjs').Unpacked} made
 * @param {string} at
 * @returns {string | null}
 */
function makeData({ command, libraries }, at) {
  const data = join(at, 'data');
  const share = join(at, 'usr/share/mysql');
  mkdirSync(data);
  mkdirSync(join(data, 'mysql'));
  const script = (/** @type {string} */ name) => readFileSync(join(share, name), 'utf8');
  const input = [
    'use mysql;',
    'set @auth_root_socket = null;',
    script('mysql_system_tables.sql'),
    script('mysql_performance_tables.sql'),
    script('mysql_system_tables_data.sql'),
    script('maria_add_gis_sp_bootstrap.sql'),
    "delete from global_priv where user <> 'root' and user <> 'mariadb.sys';",
  ].join('\n');
  const { status, error, stderr } = spawnSync(
    command,
    [
      '--no-defaults',
      '--bootstrap',
      ...(process.getuid?.() === 0 ? ['--user=root'] : []),
      `--datadir=${data}`,
      `--lc-messages-dir=${share}`,
      `--character-sets-dir=${join(share, 'charsets')}`,
      `--tmpdir=${data}`,
      '--log-warnings=0',
      '--skip-log-bin',
      ...storage,
    ],
    { input, env: { ...process.env, LD_LIBRARY_PATH: libraries }, encoding: 'utf8', timeout: 300_000 },
  );
  return status === 0 ? null : `its data directory cannot be made: ${error?.message ?? stderr.trim().slice(-500)}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(provideMariaDb());
