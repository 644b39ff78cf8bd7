// A Redis for tests: Debian's. Found on PATH, or unpacked under .millrace/redis, so that nothing on the machine changes.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, '.millrace', 'redis');
/** What every Debian has, or what only its installation scripts need. */
const present = new Set(['libc6', 'adduser', 'init-system-helpers', 'lsb-base', 'sysvinit-utils']);

/** @typedef {{ command: string, libraries: string }} Redis how to start it: the program, and what LD_LIBRARY_PATH is to be */

/** @returns {Redis | { missing: string }} */
export function findRedis() {
  if (process.env.MILLRACE_TEST_REDIS === 'off') return { missing: 'MILLRACE_TEST_REDIS is "off"' };
  const unpacked = unpackedRedis();
  if (unpacked) return unpacked;
  const command = (process.env.PATH ?? '')
    .split(delimiter)
    .flatMap((path) => ['redis-server', 'valkey-server'].map((name) => join(path, name)))
    .find(executable);
  return command
    ? { command, libraries: process.env.LD_LIBRARY_PATH ?? '' }
    : { missing: 'no Redis: redis-server is not on PATH, nor under .millrace/redis ("node scripts/redis.mjs" puts it there)' };
}

/**
 * Finds a Redis, or unpacks Debian's where apt is there. Never fails: tests of Redis are left out, and the reason is printed.
 * @returns {Redis | { missing: string }}
 */
export function provideRedis() {
  const found = findRedis();
  if ('command' in found || process.env.MILLRACE_TEST_REDIS === 'off') return found;
  if (!ran('apt-get', ['--version']) || !ran('dpkg-deb', ['--version']))
    return { missing: 'no Redis: neither redis-server nor apt is on PATH' };
  console.error('Unpacking redis-server, which the tests use, under .millrace/redis');
  const making = `${folder}.${process.pid}`; // whole or not at all: other runs look for it meanwhile
  const packages = join(making, 'packages');
  mkdirSync(packages, { recursive: true });
  try {
    // The lists of packages may be missing, or so old that what they name is gone.
    if (!download(packages)) {
      spawnSync('apt-get', ['update', '-qq'], { stdio: 'ignore', timeout: 300_000 });
      const why = download(packages) ? '' : 'apt-get can download neither redis-server nor redis-tools';
      if (why) return { missing: `no Redis: ${why}` };
    }
    for (const name of readdirSync(packages)) {
      if (!ran('dpkg-deb', ['-x', join(packages, name), making])) return { missing: `no Redis: dpkg-deb cannot unpack ${name}` };
    }
    rmSync(packages, { recursive: true });
    const { command, libraries } = unpackedRedis(making) ?? { command: '', libraries: '' };
    const started = spawnSync(command, ['--version'], { env: { ...process.env, LD_LIBRARY_PATH: libraries }, encoding: 'utf8' });
    if (started.status !== 0)
      return { missing: `no Redis: Debian's does not start here: ${started.error?.message ?? started.stderr.trim()}` };
    if (!existsSync(folder)) renameSync(making, folder);
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
  return findRedis();
}

/**
 * With the libraries that it names. True where everything is there.
 * @param {string} to
 */
function download(to) {
  const named = spawnSync('apt-cache', ['depends', '--important', '--no-recommends', 'redis-tools'], { encoding: 'utf8' });
  if (named.status !== 0) return false;
  const libraries = [...named.stdout.matchAll(/^ +\|?(?:Pre)?Depends: ([a-z0-9.+-]+)$/gm)].map((match) => match[1] ?? '');
  const wanted = ['redis-server', 'redis-tools', ...libraries.filter((name) => !present.has(name))];
  return spawnSync('apt-get', ['download', '-qq', ...wanted], { cwd: to, stdio: 'ignore', timeout: 300_000 }).status === 0;
}

/**
 * @param {string} at
 * @returns {Redis | undefined}
 */
function unpackedRedis(at = folder) {
  const command = join(at, 'usr', 'bin', 'redis-server');
  if (!executable(command)) return undefined;
  const places = ['usr/lib', 'lib'].map((path) => join(at, path)).flatMap((path) => [path, ...architectures(path)]);
  return { command, libraries: [...places, ...(process.env.LD_LIBRARY_PATH ? [process.env.LD_LIBRARY_PATH] : [])].join(delimiter) };
}

/** @param {string} path */
function architectures(path) {
  try {
    return readdirSync(path)
      .filter((name) => name.includes('-linux-'))
      .map((name) => join(path, name));
  } catch {
    return [];
  }
}

/**
 * @param {string} command
 * @param {string[]} args
 */
function ran(command, args) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

/** @param {string} path */
function executable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(provideRedis());
