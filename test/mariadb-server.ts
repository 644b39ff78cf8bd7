import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Connection, createConnection } from 'mysql2/promise';
import { findMariaDb } from '../scripts/mariadb.mjs';
import { freePort } from './free-port.ts';

export interface MariaDbServerOptions {
  /** Options of the server: `{ 'binlog-format': 'STATEMENT' }`. Stronger than those that `binlog` sets. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Writes a binary log as capture wants it: row events with full images and metadata. Off by default, for speed. */
  readonly binlog?: boolean;
  /** 1 by default: servers that replicate from one another need different ones. */
  readonly serverId?: number;
  /** Of the machine it believes to be on: `Europe/Berlin`. */
  readonly timeZone?: string;
  /** What a crash loses: nothing, or (by default, for speed) up to a second where the machine itself goes down. */
  readonly durable?: boolean;
}

/** A MariaDB (or the MySQL that MILLRACE_TEST_MYSQLD names) of one's own on loopback. It stops with this process, however this process ends. */
export interface MariaDbServer extends AsyncDisposable {
  readonly flavour: 'mariadb' | 'mysql';
  readonly port: number;
  /** The administrator's URL, without a database. */
  readonly url: string;
  /** Where it keeps its files; binary logs are in `log-bin.*` there. */
  readonly data: string;
  /** Statements of the administrator, one after another, each as its rows with every value as text. */
  sql(...statements: string[]): Promise<Record<string, string | null>[]>;
  /** A connection of the driver itself, which ends with the server: for transactions and streams of a test's own. */
  connect(database?: string): Promise<Connection>;
  /** An empty database with a name of its own, in utf8mb4; the answer is its URL. */
  database(): Promise<MariaDbDatabase>;
  /** Ends it in an orderly way. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** On the same port and files as before. `settings` are added to those it had. */
  start(settings?: Readonly<Record<string, string>>): Promise<void>;
  restart(settings?: Readonly<Record<string, string>>): Promise<void>;
  /** Begins a new file of the binary log, and takes the others away as soon as the server lets go of them. */
  purge(): Promise<void>;
}

export interface MariaDbDatabase {
  readonly name: string;
  readonly url: string;
  /** As `sql` of the server, within this database. */
  sql(...statements: string[]): Promise<Record<string, string | null>[]>;
}

export async function mariaDbServer(options: MariaDbServerOptions = {}): Promise<MariaDbServer> {
  const { flavour, command, libraries, share, data: empty, storage } = testedServer();
  const folder = mkdtempSync(join(tmpdir(), 'millrace-mariadb-'));
  const data = join(folder, 'data');
  cpSync(empty, data, { recursive: true });
  rmSync(join(data, 'auto.cnf'), { force: true }); // the name by which a MySQL is told from its copies: it gives itself another
  mkdirSync(join(folder, 'tmp'));
  // A socket's path has at most 107 bytes, which a folder of tests may pass.
  const short = join('/tmp', `mr-${process.pid}-${Math.random().toString(36).slice(2, 8)}`);
  symlinkSync(folder, short);
  const log = join(folder, 'log.err');
  const port = await freePort();
  const url = `mysql://root@127.0.0.1:${port}`;
  let settings: Record<string, string> = {
    port: String(port),
    'bind-address': '127.0.0.1',
    datadir: data,
    socket: join(short, 'socket'),
    tmpdir: join(folder, 'tmp'),
    'lc-messages-dir': share,
    'character-sets-dir': join(share, 'charsets'),
    'log-error': log,
    'server-id': String(options.serverId ?? 1),
    'character-set-server': 'utf8mb4',
    'innodb-buffer-pool-size': '32M',
    'innodb-flush-log-at-trx-commit': options.durable ? '1' : '2',
    'key-buffer-size': '1M',
    ...(flavour === 'mariadb'
      ? { 'aria-pagecache-buffer-size': '8M' }
      : { mysqlx: 'OFF', 'secure-file-priv': join(folder, 'tmp'), 'cte-max-recursion-depth': '1000000' }),
    'performance-schema': 'OFF',
    'default-time-zone': '+03:00', // not ours: what depends on it shows
    'local-infile': '1',
    ...(options.binlog && {
      'log-bin': 'log-bin',
      'binlog-format': 'ROW',
      'binlog-row-image': 'FULL',
      'binlog-row-metadata': 'FULL',
      ...(flavour === 'mariadb'
        ? {
            'gtid-strict-mode': '1',
            'log-slave-updates': '1',
            'loose-slave-connections-needed-for-purge': '0', // since 11.4: PURGE does what it is told without a replica too
          }
        : { 'gtid-mode': 'ON', 'enforce-gtid-consistency': 'ON' }),
      'sync-binlog': options.durable ? '1' : '0',
    }),
    ...options.settings,
  };
  let running: { guard: ChildProcess; pid: number; ended: Promise<void> } | undefined;
  const connections = new Set<Connection>();

  async function start(more: Readonly<Record<string, string>> = {}): Promise<void> {
    settings = { ...settings, ...more };
    const args = ['--no-defaults', ...(process.getuid?.() === 0 ? ['--user=root'] : []), '--skip-name-resolve', ...storage];
    for (const [name, value] of Object.entries(settings)) args.push(value === '' ? `--${name}` : `--${name}=${value}`);
    // The shell ends it when this process is gone: then its own standard input is at its end.
    const guard = spawn(
      'sh',
      [
        '-c',
        '"$@" </dev/null >/dev/null 2>&1 & server=$!; echo $server; cat >/dev/null; kill -9 $server; wait $server',
        'sh',
        command,
        ...args,
      ],
      {
        stdio: ['pipe', 'pipe', 'ignore'],
        detached: true,
        env: { ...process.env, ...(options.timeZone && { TZ: options.timeZone }), LD_LIBRARY_PATH: libraries },
      },
    );
    const ended = new Promise<void>((resolve) => guard.once('exit', () => resolve()));
    const pid = Number((await createInterface(guard.stdout)[Symbol.asyncIterator]().next()).value);
    running = { guard, pid, ended };
    const deadline = Date.now() + 60_000;
    while (!(await answers(url))) {
      if (Date.now() > deadline || !isAlive(pid)) {
        await end('SIGKILL');
        throw new Error(`MariaDB did not start: ${existsSync(log) ? readFileSync(log, 'utf8').slice(-3000) : 'it has written no log'}`);
      }
      await pause(20);
    }
  }

  async function end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (!running) return;
    const { guard, pid, ended } = running;
    running = undefined;
    if (isAlive(pid)) process.kill(pid, signal);
    while (isAlive(pid)) await pause(10);
    guard.stdin?.end();
    await ended;
    // What waits in a connection that is destroyed before it has heard of it waits for ever.
    await Promise.all([...connections].map(heard));
    for (const connection of connections) connection.destroy();
    connections.clear();
  }

  async function connect(database?: string): Promise<Connection> {
    const connection = await createConnection({
      uri: database ? `${url}/${database}` : url,
      multipleStatements: false,
      charset: 'utf8mb4',
    });
    connection.on('error', () => {});
    connections.add(connection);
    return connection;
  }

  async function sql(database: string | undefined, statements: readonly string[]): Promise<Record<string, string | null>[]> {
    const connection = await connect(database);
    try {
      let rows: Record<string, string | null>[] = [];
      for (const statement of statements) {
        const [answer] = await connection.query({
          sql: flavour === 'mysql' ? withNumbers(statement) : statement,
          typeCast: (field) => field.string(),
        });
        rows = Array.isArray(answer) ? (answer as Record<string, string | null>[]) : [];
      }
      return rows;
    } finally {
      connections.delete(connection);
      connection.destroy();
    }
  }

  let databases = 0;
  await start();
  return {
    flavour,
    port,
    url,
    data,
    sql: (...statements) => sql(undefined, statements),
    connect,
    async database() {
      const name = `test_${++databases}`;
      await sql(undefined, [`CREATE DATABASE ${name} CHARACTER SET utf8mb4`]);
      return { name, url: `${url}/${name}`, sql: (...statements) => sql(name, statements) };
    },
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    start,
    async purge() {
      await sql(undefined, ['flush binary logs']);
      for (const deadline = Date.now() + 30_000; ; await pause(50)) {
        const files = await sql(undefined, ['show binary logs']);
        if (files.length === 1) return;
        if (Date.now() > deadline) throw new Error(`MariaDB keeps its logs: ${files.map((file) => file['Log_name']).join(', ')}`);
        await sql(undefined, [`purge binary logs to '${files.at(-1)?.['Log_name']}'`]);
      }
    },
    async restart(more) {
      await end('SIGTERM');
      await start(more);
    },
    async [Symbol.asyncDispose]() {
      await end('SIGKILL');
      rmSync(short, { force: true });
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** What `mariaDbServer` starts. */
export function testedServer() {
  const mariadb = findMariaDb();
  if ('missing' in mariadb) throw new Error(mariadb.missing);
  return mariadb;
}

/** MySQL has no `seq_1_to_9` of its own. */
export const withNumbers = (statement: string): string =>
  statement.replace(
    /\bseq_(\d+)_to_(\d+)\b/g,
    (name, from, to) =>
      `(with recursive s (seq) as (select ${from} union all select seq + 1 from s where seq < ${to}) select seq from s) as ${name}`,
  );

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The driver tells those who wait when it is told that the server has gone. */
async function heard(connection: Connection): Promise<void> {
  const { stream } = (connection as unknown as { readonly connection: { readonly stream: Socket } }).connection;
  if (!stream.closed) await Promise.race([once(stream, 'close'), pause(10_000)]);
}

/** A process that has ended but was not waited for yet is not alive: its guard waits for it later. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const connection = await createConnection({ uri: url, connectTimeout: 10_000 });
    connection.destroy();
    return true;
  } catch {
    return false;
  }
}
