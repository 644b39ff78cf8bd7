import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { access, constants, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/**
 * A directory to write to from which packages are found as they are from the file: below the nearest `node_modules`, or the file's own.
 * Where nothing can be written there (an image whose files belong to somebody else, a read-only disk), a temporary one.
 */
export async function placeFor(file: string): Promise<string> {
  const folders = withPackages(dirname(file));
  const [nearest] = folders;
  const place = nearest === undefined ? dirname(file) : join(nearest, '.millrace');
  try {
    // Not "recursive": with that Node says ENOENT of a read-only disk. What it is in is there.
    await mkdir(place).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
    await access(place, constants.W_OK);
    return place;
  } catch (error) {
    if (!['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return elsewhere(folders);
  }
}

/** Every `node_modules` in which Node looks for packages of a file in this directory, the nearest first. */
function withPackages(from: string): string[] {
  const here = join(from, 'node_modules');
  const above = from === dirname(from) ? [] : withPackages(dirname(from));
  return existsSync(here) ? [here, ...above] : above;
}

const made = new Map<string, string>();

/** One directory in another, each with a link to one of these. They stay as long as the process: packages may be imported later on. */
function elsewhere(folders: readonly string[]): string {
  const key = folders.join('\n');
  const known = made.get(key);
  if (known !== undefined) return known;
  const root = mkdtempSync(join(tmpdir(), 'millrace-bundle-'));
  process.once('exit', () => rmSync(root, { recursive: true, force: true }));
  const place = folders.toReversed().reduce((at, folder) => {
    const within = join(at, 'in');
    mkdirSync(within);
    symlinkSync(folder, join(within, 'node_modules'), 'dir');
    return within;
  }, root);
  made.set(key, place);
  return place;
}
