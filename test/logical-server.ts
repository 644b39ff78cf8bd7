import { spawn } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type Account, canReach, serverAccount } from '../packages/cli/src/embedded/account.ts';
import { lives, plainEnvironment } from '../packages/cli/src/embedded/process.ts';
import { type ClusterVersion, clusterBinaries, copyCluster, copyEmptyCluster, makeCluster } from './cluster-files.ts';
import { databaseOn, type TestDatabase } from './database.ts';
import { freePort } from './free-port.ts';

export type ServerSettings = Readonly<Record<string, string | number>>;

export interface ServerOptions {
  /** 18 where it is left out. */
  readonly version?: ClusterVersion;
  /** Over the defaults below. */
  readonly settings?: ServerSettings;
  /**
   * Starts from a copy in place of an empty cluster: a `backup()` of another server of this version, which has no slots, or the `data` of
   * a stopped one, which has them all, as a snapshot of its disk has.
   */
  readonly from?: string;
  /** A system identifier of its own, for half a second more. Else all servers of a version share one, as restored copies do. */
  readonly ownIdentity?: boolean;
  /** Stays in recovery, following `primary_conninfo` of the settings, until `pg_promote()`. Needs `from`. */
  readonly standby?: boolean;
}

/** A Postgres of a test's own, with `wal_level = logical`. It ends with its files when disposed, or when this process ends in whatever way. */
export interface LogicalServer extends AsyncDisposable {
  readonly version: ClusterVersion;
  /** The administrator's, for the database `postgres`. Stays the same when the server is started again. */
  readonly url: string;
  readonly port: number;
  readonly data: string;
  /** An empty database, or a copy of another one of this server. */
  database(like?: TestDatabase): Promise<TestDatabase>;
  /** `fast` waits for walsenders to send what there is; `immediate` is a crash; `kill` takes the postmaster alone, as the OOM killer does. */
  stop(how?: 'fast' | 'immediate' | 'kill'): Promise<void>;
  /** Starts a stopped server again, with more settings where they are given. */
  start(settings?: ServerSettings): Promise<void>;
  /** A base backup of the running server, without its slots: a folder for `from`, which goes with this server. */
  backup(): Promise<string>;
  log(): string;
}

/** Nothing waits for a disk. Commits still write their log at once, for without that a walsender hears of them 200 ms later. */
const defaults: ServerSettings = {
  listen_addresses: '127.0.0.1',
  wal_level: 'logical',
  max_connections: 200,
  max_replication_slots: 40,
  max_wal_senders: 40,
  max_prepared_transactions: 20,
  fsync: 'off',
  full_page_writes: 'off',
  shared_buffers: '128MB',
  max_wal_size: '2GB',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_min_messages: 'warning',
};

/** Starts a server in about half a second. Give the versions that a test is about; `settings` are lines of postgresql.conf. */
export async function logicalServer({
  version = 18,
  settings = {},
  from,
  standby,
  ownIdentity = false,
}: ServerOptions = {}): Promise<LogicalServer> {
  const owner = serverAccount('/nonexistent');
  const binaries = clusterBinaries(version, owner);
  const home = freshFolder(owner);
  const data = join(home, 'data');
  try {
    if (from) copyCluster(from, data);
    else if (ownIdentity) makeCluster(binaries, owner, data);
    else copyEmptyCluster(binaries, owner, data);
    if (standby) owned(join(data, 'standby.signal'), '', owner);
  } catch (error) {
    rmSync(home, { recursive: true, force: true });
    throw error;
  }
  const keeper = keep(home, [join(binaries.folder, 'bin', 'postgres'), '-D', data], owner);
  const log = () => (existsSync(join(home, 'log')) ? readFileSync(join(home, 'log'), 'utf8') : '');
  const lines: Record<string, string | number> = { ...defaults, unix_socket_directories: home, ...settings };
  const url = () => `postgres://postgres:millrace@127.0.0.1:${lines['port']}/postgres`;
  let backups = 0;

  const start = async (samePort: boolean): Promise<void> => {
    const deadline = Date.now() + 30_000;
    for (;;) {
      const before = log().length;
      if (!samePort) lines['port'] = settings['port'] ?? (await freePort());
      owned(join(data, 'server.conf'), Object.entries(lines).map(settingLine).join(''), owner);
      const pid = await keeper.start();
      if (await answers(url(), pid, deadline)) return;
      await keeper.stop('QUIT');
      const said = log().slice(before);
      // Somebody was quicker with the port, or the children of a killed postmaster have not noticed yet that it is gone.
      if (!/could not bind|could not create any TCP|pre-existing shared memory|is already in use/.test(said) || Date.now() > deadline)
        throw new Error(`Postgres ${version} did not start: ${said || 'it left no log'}`);
      await sleep(100);
    }
  };
  try {
    await start(false);
  } catch (error) {
    await keeper.end();
    throw error;
  }
  return {
    version,
    data,
    log,
    get url() {
      return url();
    },
    port: Number(lines['port']),
    database: (like) => databaseOn(url(), like),
    stop: (how = 'fast') => keeper.stop(how === 'fast' ? 'INT' : how === 'immediate' ? 'QUIT' : 'KILL'),
    async start(more) {
      Object.assign(lines, more);
      await start(true);
    },
    async backup() {
      const folder = join(home, `backup-${++backups}`);
      await baseBackup(url(), data, folder, owner);
      return folder;
    },
    [Symbol.asyncDispose]: () => keeper.end(),
  };
}

const settingLine = ([name, value]: [string, string | number]): string => `${name} = '${String(value).replaceAll("'", "''")}'\n`;

/** Below the system's folder for temporary files, unless the server's user cannot get there (root's own, say). */
function freshFolder(owner: Account | undefined): string {
  const parents = [tmpdir(), '/tmp', '/var/tmp'];
  const parent = parents.find((path) => existsSync(path) && (!owner || canReach(owner, join(path, 'x'))));
  if (!parent) throw new Error(`The server's user (uid ${owner?.uid}) can reach none of ${parents.join(', ')}.`);
  const home = mkdtempSync(join(parent, 'millrace-test-postgres-'));
  if (owner) chownSync(home, owner.uid, owner.gid);
  return home;
}

function owned(path: string, text: string, owner: Account | undefined): void {
  writeFileSync(path, text);
  if (owner) chownSync(path, owner.uid, owner.gid);
}

/**
 * What starts and stops the postmaster. It outlives a killed test run by a moment: its input closes, so it stops the server and takes the
 * files away. It asks again and again, because a background process of a shell ignores SIGINT and SIGQUIT until it knows better.
 */
const keeperScript = `
home="$1"; shift; server=
end() { while [ -n "$server" ] && kill -"$1" $server; do sleep 0.02; done; server=; }
while read -r word; do
  if [ "$word" = start ]; then "$@" >>"$home/log" 2>&1 </dev/null & server=$!; echo $server
  else end "$word"; echo 0; fi
done
end QUIT
rm -rf "$home"`;

function keep(home: string, command: readonly string[], owner: Account | undefined) {
  const shell = spawn('sh', ['-c', keeperScript, 'sh', home, ...command], {
    ...owner,
    cwd: home,
    env: plainEnvironment(),
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
  });
  shell.stdin.on('error', () => {});
  const ended = new Promise<void>((resolve) => shell.once('close', () => resolve()));
  const answers = createInterface(shell.stdout)[Symbol.asyncIterator]();
  const say = async (word: string): Promise<number> => {
    shell.stdin.write(`${word}\n`);
    return Number((await answers.next()).value);
  };
  return {
    start: () => say('start'),
    stop: async (signal: 'INT' | 'QUIT' | 'KILL') => void (await say(signal)),
    async end() {
      shell.stdin.end();
      await ended;
    },
  };
}

async function answers(url: string, pid: number, deadline: number): Promise<boolean> {
  while (lives(pid) && Date.now() < deadline) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
    client.on('error', () => {});
    try {
      await client.connect();
      await client.end();
      return true;
    } catch {
      await sleep(25);
    }
  }
  return false;
}

/** What pg_basebackup does, for one tablespace and a server on this machine. */
async function baseBackup(url: string, data: string, folder: string, owner: Account | undefined): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    const { rows } = await client.query<{ server_version_num: string }>('show server_version_num');
    const recent = Number(rows[0]?.server_version_num) >= 150_000;
    await client.query(recent ? "select pg_backup_start('copy', true)" : "select pg_start_backup('copy', true, false)");
    copyCluster(data, folder, ['pg_wal', 'pg_replslot']);
    mkdirSync(join(folder, 'pg_replslot'));
    const label = await client.query<{ labelfile: string }>(
      `select labelfile from ${recent ? 'pg_backup_stop(false)' : 'pg_stop_backup(false, false)'}`,
    );
    // The WAL up to this moment makes the copy whole.
    copyCluster(join(data, 'pg_wal'), join(folder, 'pg_wal'));
    if (owner) chownSync(join(folder, 'pg_replslot'), owner.uid, owner.gid);
    owned(join(folder, 'backup_label'), label.rows[0]?.labelfile ?? '', owner);
  } finally {
    await client.end();
  }
}
