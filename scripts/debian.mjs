// Programs of Debian for tests, unpacked under .millrace, so that nothing on the machine changes.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
/** What every Debian has, or what only installation scripts need. */
const present = new Set(['libc6', 'adduser', 'init-system-helpers', 'lsb-base', 'sysvinit-utils', 'mariadb-common', 'libelogind0']);

/**
 * @typedef {object} DebianProgram
 * @property {string} title for messages: `Redis`
 * @property {string} folder beside others under .millrace
 * @property {string[]} packages
 * @property {string[]} dependingPackages those among them whose libraries are unpacked too
 * @property {string} command where the program is in its package: `usr/bin/redis-server`
 * @property {string[]} version arguments with which it says its version and ends
 */

/** @typedef {{ command: string, libraries: string }} Unpacked how to start it: the program, and what LD_LIBRARY_PATH is to be */

/** @param {DebianProgram} program */
export const unpackedAt = (program) => join(root, '.millrace', program.folder);

/**
 * What was unpacked before.
 * @param {DebianProgram} program
 * @param {string} [at]
 * @returns {Unpacked | undefined}
 */
export function findUnpacked(program, at = unpackedAt(program)) {
  const command = join(at, program.command);
  if (!executable(command)) return undefined;
  const places = ['usr/lib', 'lib'].map((path) => join(at, path)).flatMap((path) => [path, ...architectures(path)]);
  return { command, libraries: [...places, ...(process.env.LD_LIBRARY_PATH ? [process.env.LD_LIBRARY_PATH] : [])].join(delimiter) };
}

/**
 * Unpacks it where apt is there. Never fails: tests that need it are left out, and the reason is printed. `finish` does what has to be done once.
 * @param {DebianProgram} program
 * @param {(made: Unpacked, at: string) => string | null} [finish] answers why it cannot be used, or null
 * @returns {{ missing: string } | null}
 */
export function unpack(program, finish = () => null) {
  const missing = (/** @type {string} */ why) => ({ missing: `no ${program.title}: ${why}` });
  if (!ran('apt-get', ['--version']) || !ran('dpkg-deb', ['--version'])) return missing('neither the program nor apt is on PATH');
  const folder = unpackedAt(program);
  console.error(`Unpacking ${program.packages[0]}, which the tests use, under .millrace/${program.folder}`);
  const making = `${folder}.${process.pid}`; // whole or not at all: other runs look for it meanwhile
  const packages = join(making, 'packages');
  mkdirSync(packages, { recursive: true });
  try {
    // The lists of packages may be missing, or so old that what they name is gone.
    if (!download(program, packages)) {
      spawnSync('apt-get', ['update', '-qq'], { stdio: 'ignore', timeout: 300_000 });
      if (!download(program, packages)) return missing(`apt-get cannot download ${program.packages.join(', ')}`);
    }
    for (const name of readdirSync(packages))
      if (!ran('dpkg-deb', ['-x', join(packages, name), making])) return missing(`dpkg-deb cannot unpack ${name}`);
    rmSync(packages, { recursive: true });
    const made = findUnpacked(program, making);
    if (!made) return missing(`its package has no ${program.command}`);
    const started = spawnSync(made.command, program.version, {
      env: { ...process.env, LD_LIBRARY_PATH: made.libraries },
      encoding: 'utf8',
    });
    if (started.status !== 0) return missing(`Debian's does not start here: ${started.error?.message ?? started.stderr.trim()}`);
    const why = finish(made, making);
    if (why !== null) return missing(why);
    if (!existsSync(folder)) renameSync(making, folder);
    return null;
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
}

/**
 * With the libraries that they name. True where everything is there.
 * @param {DebianProgram} program
 * @param {string} to
 */
function download({ packages, dependingPackages }, to) {
  const named = spawnSync('apt-cache', ['depends', '--important', '--no-recommends', ...dependingPackages], { encoding: 'utf8' });
  if (named.status !== 0) return false;
  const libraries = [...named.stdout.matchAll(/^ +\|?(?:Pre)?Depends: ([a-z0-9.+-]+)$/gm)].map((match) => match[1] ?? '');
  const wanted = new Set([...packages, ...libraries.filter((name) => !present.has(name))]);
  return spawnSync('apt-get', ['download', '-qq', ...wanted], { cwd: to, stdio: 'ignore', timeout: 300_000 }).status === 0;
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
 * The first of these programs that is on PATH.
 * @param {string[]} names
 */
export function onPath(names) {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .flatMap((path) => names.map((name) => join(path, name)))
    .find(executable);
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
