import { type FileHandle, mkdir, open, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';

const keepBytes = 10 * 2 ** 20;

/** For appending. A log that has grown long becomes `postgres.log.1`, over the one before. */
export async function openLog(directory: string): Promise<FileHandle> {
  await mkdir(join(directory, 'log'), { recursive: true, mode: 0o700 });
  if ((await logSize(directory)) > keepBytes) await rename(logPath(directory), `${logPath(directory)}.1`);
  return await open(logPath(directory), 'a', 0o600);
}

export async function logSize(directory: string): Promise<number> {
  return (await stat(logPath(directory)).catch(() => undefined))?.size ?? 0;
}

/** The last lines written since the log had `from` bytes. */
export async function logTail(directory: string, from: number): Promise<string> {
  const size = await logSize(directory);
  const start = Math.max(from, size - 8_192);
  if (size <= start) return '';
  const file = await open(logPath(directory), 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
    return buffer.toString('utf8', 0, bytesRead).trim().split('\n').slice(-8).join('\n');
  } finally {
    await file.close();
  }
}

function logPath(directory: string): string {
  return join(directory, 'log', 'postgres.log');
}
