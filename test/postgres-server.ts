import { spawn, spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { type Account, canReach, serverAccount } from '../packages/cli/src/embedded/account.ts';
import { postgresBinaries } from '../packages/cli/src/embedded/binaries.ts';
import { freePort } from './free-port.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The administrator's URL of the one Postgres that all test files share. */
    postgres: string;
  }
}

/** Starts one Postgres for the whole run. It stops with this process, however this process ends. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const owner = serverAccount('/nonexistent');
  const { folder: binaries } = postgresBinaries(owner);
  const home = freshFolder(owner);
  const data = join(home, 'data');
  const password = join(home, 'password');
  writeFileSync(password, 'millrace');
  if (owner) for (const path of [home, password]) chownSync(path, owner.uid, owner.gid);

  const locale = ['--encoding=UTF8', '--no-locale', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
  const access = ['--username=postgres', '--auth-host=scram-sha-256', '--auth-local=trust', `--pwfile=${password}`];
  const initdb = spawnSync(join(binaries, 'bin', 'initdb'), ['-D', data, ...locale, ...access, '--no-sync', '--no-instructions'], {
    ...owner,
    cwd: home,
    encoding: 'utf8',
  });
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

/** Below the system's folder for temporary files, unless the server's user cannot get there (root's own, say). */
function freshFolder(owner: Account | undefined): string {
  const parents = [tmpdir(), '/tmp', '/var/tmp'];
  const parent = parents.find((path) => existsSync(path) && (!owner || canReach(owner, join(path, 'x'))));
  if (!parent) throw new Error(`The server's user (uid ${owner?.uid}) can reach none of ${parents.join(', ')}.`);
  return mkdtempSync(join(parent, 'millrace-test-postgres-'));
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
