import { execFile } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

/**
 * Named pipes between this process and the converter. They are opened without waiting (`O_NONBLOCK`) and polled by the event
 * loop as sockets are, so that no thread of libuv's pool stands still while the other end is slow.
 */
export async function makePipe(directory: string, name: string): Promise<boolean> {
  if (process.platform === 'win32') return false;
  try {
    await promisify(execFile)('mkfifo', ['-m', '600', join(directory, name)]);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/**
 * The writing end, as soon as the converter has opened the reading end: before that, opening fails with ENXIO. Once open, a
 * converter that dies is felt as EPIPE. Null when `stopped` says that there will be no reader any more.
 */
export async function openWriter(path: string, stopped: () => boolean): Promise<Writable | null> {
  while (!stopped()) {
    try {
      const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
      return new Socket({ fd, readable: false, writable: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENXIO') throw error;
      await sleep(2);
    }
  }
  return null;
}

/**
 * The reading end. The pipe is held open from this side too, so that the end of the stream comes when `finish` is called,
 * which is when the converter has said that all is written, and never because it died.
 */
export function openReader(path: string): { readonly stream: Readable; finish(): void } {
  const keeper = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const stream = new Socket({ fd: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK), readable: true, writable: false });
  let held = true;
  const finish = () => {
    if (held) closeSync(keeper);
    held = false;
  };
  stream.once('close', finish);
  return { stream, finish };
}
