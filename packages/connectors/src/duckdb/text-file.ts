import { createReadStream } from 'node:fs';
import * as zlib from 'node:zlib';
import { isMillraceError, MillraceError } from '@millrace/core/runtime';
import { Decompress } from 'fzstd';
import type { InputFile } from './files-to-csv.ts';

/**
 * The bytes of a text file, unpacked and without a byte order mark. They are unpacked here and not by DuckDB, which takes a packed
 * file that is cut for one that has ended.
 *
 * @throws FILE_CORRUPT
 */
export async function* textOf(file: InputFile, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
  const source = createReadStream(file.path, { highWaterMark: 256 * 1024 });
  let first = true;
  try {
    for await (const chunk of unpacked(source, file.codec)) {
      signal.throwIfAborted();
      const marked = first && chunk.length >= 3 && chunk[0] === 0xef && chunk[1] === 0xbb && chunk[2] === 0xbf;
      first = false;
      yield marked ? chunk.subarray(3) : chunk;
    }
  } catch (error) {
    signal.throwIfAborted();
    throw isMillraceError(error) ? error : corrupt(file, (error as Error).message);
  } finally {
    source.destroy();
  }
}

export function corrupt(file: InputFile, problem: string, row?: number): MillraceError {
  return new MillraceError('FILE_CORRUPT', {
    message: `${file.label}${row === undefined ? '' : `, row ${row}`}: ${problem}.`,
    remedy: 'Load the file again at its source.',
    facts: { file: file.label, ...(row !== undefined && { row }) },
  });
}

async function* unpacked(source: AsyncIterable<Buffer>, codec: InputFile['codec']): AsyncGenerator<Buffer, void, undefined> {
  if (codec === 'none') return yield* source;
  if (codec === 'gzip') return yield* through(source, zlib.createGunzip());
  // Node has had zstd since 22.15.
  const { createZstdDecompress } = zlib as { createZstdDecompress?: () => zlib.Gunzip };
  if (createZstdDecompress) return yield* through(source, createZstdDecompress());
  let out: Buffer[] = [];
  const decompress = new Decompress((bytes) => void out.push(Buffer.from(bytes)));
  for await (const chunk of source) {
    decompress.push(chunk);
    yield* out;
    out = [];
  }
  decompress.push(new Uint8Array(0), true);
  yield* out;
}

async function* through(source: AsyncIterable<Buffer>, unpack: zlib.Gunzip): AsyncGenerator<Buffer, void, undefined> {
  const readable = source as AsyncIterable<Buffer> & NodeJS.ReadableStream;
  readable.once('error', (error) => unpack.destroy(error));
  readable.pipe(unpack);
  yield* unpack as AsyncIterable<Buffer>;
}
