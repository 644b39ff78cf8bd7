import { MillraceError } from '@millrace/core/runtime';

/** What the file system said, as an error of ours. */
export function fileFailure(error: unknown, where: string): unknown {
  if (error instanceof MillraceError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const facts = { where, reason: code };
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new MillraceError('DISK_FULL', {
        message: `No space is left for ${where}.`,
        remedy: 'Free space and run again: nothing half-written is visible.',
        facts,
        cause: error,
      });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new MillraceError('ACCESS_DENIED', {
        message: `This user may not write to ${where} (${code}).`,
        remedy: 'Change the owner or the mode of the directory.',
        facts,
        cause: error,
      });
    case 'ENOTDIR':
    case 'EEXIST':
    case 'EISDIR':
      return new MillraceError('CONFIG_INVALID', {
        message: `${where} is not a directory.`,
        remedy: 'Choose another place, or take the file out of the way.',
        facts,
        cause: error,
      });
    default:
      return code === undefined
        ? error
        : new MillraceError('REMOTE_UNAVAILABLE', {
            message: `${where}: ${message}`,
            remedy: 'Look at the disk; the attempt is repeated.',
            facts,
            cause: error,
          });
  }
}
