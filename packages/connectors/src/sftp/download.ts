import { type FileHandle, open } from 'node:fs/promises';
import type { Stats } from 'ssh2';
import type { SftpSession } from './session.ts';

/** What every server takes in one read. */
const readBytes = 32 * 1024;
/** Reads under way at once: with one at a time a round trip would cost more than the bytes. */
const readsAhead = 32;

/**
 * A remote file at `path`, with so many reads under way. A server may answer a read with less than was asked for; what is missing is asked for
 * again, so that no hole is left. The bytes that came, which are fewer than `size` where the file has become shorter.
 */
export async function download(
  session: SftpSession,
  remote: string,
  path: string,
  size: number,
  seen: (bytes: number) => void,
): Promise<number> {
  const doing = `reading ${remote}`;
  const handle = await session.ask<Buffer>(doing, (sftp, answer) => sftp.open(remote, 'r', answer));
  await using file = await open(path, 'w', 0o600);
  let next = 0;
  let came = 0;
  let isShort = false;
  const lane = async () => {
    const buffer = Buffer.allocUnsafeSlow(readBytes);
    while (next < size && !isShort) {
      const from = next;
      const to = Math.min(size, from + readBytes);
      next = to;
      for (let at = from; at < to; ) {
        const bytes = await readAt(session, doing, handle, buffer, to - at, at);
        if (bytes === 0) {
          isShort = true;
          break;
        }
        await writeAll(file, buffer, bytes, at);
        at += bytes;
        came += bytes;
        seen(bytes);
      }
    }
  };
  try {
    const lanes = await Promise.allSettled(Array.from({ length: Math.min(readsAhead, Math.ceil(size / readBytes)) }, lane));
    const failed = lanes.find((one) => one.status === 'rejected');
    if (failed) throw failed.reason;
  } finally {
    await session.ask<void>(doing, (sftp, answer) => sftp.close(handle, (error) => answer(error, undefined))).catch(() => {});
  }
  return came;
}

/** 0 at the end of the file. */
function readAt(session: SftpSession, doing: string, handle: Buffer, buffer: Buffer, length: number, position: number): Promise<number> {
  return session.ask<number>(doing, (sftp, answer) =>
    sftp.read(handle, buffer, 0, length, position, (error, bytes) =>
      (error as { code?: number } | undefined)?.code === 1 ? answer(null, 0) : answer(error, bytes),
    ),
  );
}

async function writeAll(file: FileHandle, buffer: Buffer, bytes: number, position: number): Promise<void> {
  for (let done = 0; done < bytes; ) done += (await file.write(buffer, done, bytes - done, position + done)).bytesWritten;
}

/** Changes when the content does, as far as a size and a second can tell. */
export const tagOf = ({ size, mtime }: Pick<Stats, 'size' | 'mtime'>): string => `${size.toString(36)}-${mtime.toString(36)}`;
