import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { unlink } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

const chunk = 1024 * 1024;

/** SHA-256 of a file, lower-case hex. */
export async function digest(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const bytes of createReadStream(path, { highWaterMark: chunk })) {
    signal.throwIfAborted();
    hash.update(bytes as Buffer);
  }
  return hash.digest('hex');
}

/** Packs a file and takes the original away. The packed file's path. */
export async function gzip(path: string, signal: AbortSignal): Promise<string> {
  const packed = `${path}.gz`;
  await pipeline(createReadStream(path, { highWaterMark: chunk }), createGzip({ chunkSize: 256 * 1024 }), createWriteStream(packed), {
    signal,
  });
  await unlink(path);
  return packed;
}
