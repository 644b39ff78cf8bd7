import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MillraceError } from '@millrace/core/runtime';

/** Where attempts keep temporary files, in a directory for each. */
export const spoolOf = (directory: string): string => join(directory, '.millrace', 'spool');

/** Makes the spool of a project and takes away what processes have left there that were killed. @throws CONFIG_INVALID, DISK_FULL */
export async function openSpool(directory: string): Promise<void> {
  const spool = spoolOf(directory);
  try {
    await mkdir(spool, { recursive: true });
    await sweep(spool);
  } catch (cause) {
    const full = (cause as NodeJS.ErrnoException).code === 'ENOSPC';
    throw new MillraceError(full ? 'DISK_FULL' : 'CONFIG_INVALID', {
      message: `Temporary files cannot be kept in ${spool}: ${(cause as Error).message}`,
      remedy: `Let ${join(directory, '.millrace')} be a folder in which this user may write and where there is room; it may be a link, or a volume of its own.`,
      cause,
    });
  }
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
