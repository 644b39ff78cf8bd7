import { mkdir, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MillraceError } from '@millrace/core/runtime';

/** Where attempts keep temporary files, in a directory for each. */
export const spoolOf = (directory: string): string => join(directory, '.millrace', 'spool');

/** Makes the spool of a project and takes away what processes have left there that were killed. @throws CONFIG_INVALID, DISK_FULL */
export async function openSpool(directory: string): Promise<void> {
  const spool = spoolOf(directory);
  try {
    await makeFolder(dirname(spool));
    await makeFolder(spool);
    await sweep(spool);
  } catch (error) {
    throw unkept(spool, error);
  }
}

/** The directory of one attempt. @throws CONFIG_INVALID, DISK_FULL */
export async function makeAttemptSpool(spool: string): Promise<void> {
  try {
    await makeFolder(spool, 0o700);
  } catch (error) {
    throw unkept(dirname(spool), error);
  }
}

const shared = new Map<string, Promise<void>>();

/** One directory for all attempts that only ask a database to work: they hardly keep a file, and are often over in a millisecond. */
export async function sharedSpool(spool: string): Promise<string> {
  const path = join(spool, `${process.pid}-shared`);
  const making = shared.get(path) ?? makeAttemptSpool(path);
  shared.set(path, making);
  try {
    await making;
  } catch (error) {
    shared.delete(path);
    throw error;
  }
  return path;
}

/** Not "recursive" at first: with that Node says ENOENT of a full disk. */
async function makeFolder(path: string, mode = 0o777): Promise<void> {
  await mkdir(path, { mode }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return mkdir(path, { recursive: true, mode });
    if (error.code !== 'EEXIST') throw error;
  });
}

function unkept(spool: string, cause: unknown): MillraceError {
  const { code, message } = cause as NodeJS.ErrnoException;
  return new MillraceError(code === 'ENOSPC' || code === 'EDQUOT' ? 'DISK_FULL' : 'CONFIG_INVALID', {
    message: `Temporary files cannot be kept in ${spool}: ${message}`,
    remedy: `Let ${dirname(spool)} be a folder in which this user may write and where there is room; it may be a link, or a volume of its own.`,
    cause,
  });
}

/** Their names begin with the id of their process. */
async function sweep(spool: string): Promise<void> {
  for (const name of await readdir(spool)) {
    const pid = Number.parseInt(name, 10);
    // What another user has left may stay.
    if (Number.isInteger(pid) && !lives(pid)) await rm(join(spool, name), { recursive: true, force: true }).catch(() => {});
  }
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
