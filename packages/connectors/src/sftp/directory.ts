import { isMillraceError, MillraceError } from '@millrace/core/runtime';
import type { FileEntryWithStats } from 'ssh2';
import { status } from './failure.ts';
import type { SftpSession } from './session.ts';

/** They are in memory until they are in order; a server may make them up without end. */
const mostEntries = 500_000;

/** What a directory holds, in the server's order, `.` and `..` among it. @throws MEMORY_EXHAUSTED */
export async function readDirectory(session: SftpSession, path: string, doing: string): Promise<FileEntryWithStats[]> {
  const handle = await session.ask<Buffer>(doing, (sftp, answer) => sftp.opendir(path, answer));
  const entries: FileEntryWithStats[] = [];
  try {
    for (;;) {
      const some = await session.ask<FileEntryWithStats[]>(doing, (sftp, answer) => sftp.readdir(handle, answer)).catch(unlessEnd);
      if (some === null) return entries;
      for (const entry of some) entries.push(entry);
      if (entries.length > mostEntries) throw tooMany(doing);
    }
  } finally {
    await session.ask<void>(doing, (sftp, answer) => sftp.close(handle, (error) => answer(error, undefined))).catch(() => {});
  }
}

function unlessEnd(error: unknown): null {
  if (isMillraceError(error) && error.facts['status'] === status.eof) return null;
  throw error;
}

const tooMany = (doing: string): MillraceError =>
  new MillraceError('MEMORY_EXHAUSTED', {
    message: `${doing}: it holds more than ${mostEntries} files.`,
    remedy: 'Have files that were read moved elsewhere, or spread over directories, and begin the pattern with the one that is meant.',
    facts: { mostEntries },
  });
