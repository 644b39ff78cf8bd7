import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { freemem, tmpdir } from 'node:os';
import { join } from 'node:path';
import { lives } from '../packages/cli/src/embedded/process.ts';

const prefix = 'millrace-tests-';

/**
 * The folder for temporary files of a whole test run, whose processes find it as they find any other. It goes as a whole: what is killed
 * in the middle of its work, as half of the tests do with what they start, cannot clear up.
 */
export default function setup(): void {
  if (process.env['MILLRACE_TEST_FOLDER']) return; // another project of this run has made it
  const parent = process.env['TMPDIR'] ? tmpdir() : inMemory();
  sweep(parent);
  const folder = mkdtempSync(join(parent, `${prefix}${process.pid}-`));
  chmodSync(folder, 0o1777); // servers of a test run under another account where the tests are root's
  process.env['MILLRACE_TEST_FOLDER'] = folder;
  process.env['TMPDIR'] = folder;
  process.once('exit', () => {
    try {
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    } catch {
      // A server that a killed test has left behind is just going, with its files.
    }
  });
}

/** A run fills half a GiB. */
const roomWanted = 6 * 1024 ** 3;

/** Databases that tests make and drop are hundreds of files each: in memory that takes a tenth less processor time of the whole. */
function inMemory(): string {
  try {
    const { bavail, bsize } = statfsSync('/dev/shm');
    if (bavail * bsize > roomWanted && freemem() > roomWanted) return '/dev/shm';
  } catch {
    // Not on this system.
  }
  return tmpdir();
}

/**
 * Clears away what killed runs have left in `parent`, with the disks that are mounted there. What cannot be cleared is another account's:
 * it stays, and this run goes on.
 */
export function sweep(parent: string): void {
  for (const name of readdirSync(parent)) {
    const pid = name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : Number.NaN;
    if (!(pid > 0) || lives(pid)) continue;
    const folder = join(parent, name);
    try {
      for (const mounted of mountsIn(folder)) detach(mounted);
      rmSync(folder, { recursive: true, force: true });
    } catch (error) {
      console.warn(`A killed test run has left ${folder}, which cannot be removed: ${(error as Error).message}`);
    }
  }
}

function mountsIn(folder: string): string[] {
  if (!existsSync('/proc/self/mounts')) return [];
  const places = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '');
  return places.filter((place) => place.startsWith(`${folder}/`));
}

function detach(mounted: string): void {
  const [command, ...args] = [...(process.getuid?.() === 0 ? [] : ['sudo', '-n']), 'umount', '-l', mounted];
  spawnSync(command as string, args, { stdio: 'ignore' });
}
