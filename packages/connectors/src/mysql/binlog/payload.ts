import * as zlib from 'node:zlib';
import { Decompress } from 'fzstd';
import { corrupt } from './corrupt.ts';
import { Cursor } from './cursor.ts';
import { headerBytes, LogEvent } from './event.ts';

const fields = { end: 0, size: 1, method: 2, uncompressedSize: 3 } as const;
const methods = { zstd: 0, none: 255 } as const;

/**
 * The events of a whole transaction, which MySQL 8.0.20 and later may write as one compressed event. They have no checksums. It is unpacked piece by
 * piece, as the events are taken: it may be many times as large as the memory there is.
 *
 * @throws WIRE_CORRUPT
 */
export async function* payloadEvents(event: LogEvent): AsyncGenerator<LogEvent, void, undefined> {
  const cursor = new Cursor(event.bytes, event.start, event.end);
  let [size, method, unpacked] = [0, methods.zstd as number, -1];
  for (let field = cursor.packed(); field !== fields.end; field = cursor.packed()) {
    const length = cursor.packed();
    const value = new Cursor(cursor.bytes, cursor.take(length), cursor.at);
    if (field === fields.size) size = value.packed();
    else if (field === fields.method) method = value.packed();
    else if (field === fields.uncompressedSize) unpacked = value.packed();
  }
  const bytes = cursor.slice(size);
  if (method === methods.none) return yield* eventsIn([bytes], bytes.length);
  if (method !== methods.zstd) throw corrupt(`a transaction compressed by method ${method}`);
  yield* eventsIn(zstd(bytes), unpacked);
}

async function* eventsIn(pieces: AsyncIterable<Buffer> | Iterable<Buffer>, total: number): AsyncGenerator<LogEvent, void, undefined> {
  const inner = new LogEvent();
  let held: Buffer[] = [];
  let size = 0;
  let wanted = headerBytes;
  let seen = 0;
  for await (const piece of pieces) {
    held.push(piece);
    size += piece.length;
    seen += piece.length;
    if (size < wanted) continue;
    const bytes = held.length === 1 ? piece : Buffer.concat(held, size);
    let at = 0;
    for (wanted = headerBytes; size - at >= wanted; wanted = headerBytes) {
      wanted = Math.max(headerBytes, bytes.readUInt32LE(at + 9));
      if (size - at < wanted) break;
      inner.read(bytes, at, at + wanted, false);
      yield inner;
      at += wanted;
    }
    held = [bytes.subarray(at)];
    size -= at;
  }
  if (size > 0) throw corrupt('a compressed transaction that ends in the middle of an event');
  if (total >= 0 && seen !== total) throw corrupt(`a compressed transaction of ${seen} bytes, which should have ${total}`);
}

/** Bytes that are about to be unpacked at once where Node.js has no zstd of its own (before 22.15). */
const atOnce = 512 * 1024;
const [leastStep, mostStep] = [16, 64 * 1024];

async function* zstd(bytes: Buffer): AsyncGenerator<Buffer, void, undefined> {
  const { createZstdDecompress } = zlib as { createZstdDecompress?: () => zlib.Gunzip };
  try {
    if (createZstdDecompress) {
      const unpack = createZstdDecompress();
      unpack.end(bytes);
      return yield* unpack as AsyncIterable<Buffer>;
    }
    let out: Buffer[] = [];
    const unpack = new Decompress((piece) => void out.push(Buffer.from(piece)));
    // A few bytes may stand for a megabyte: how many come at once follows from what came of those before.
    for (let at = 0, step = leastStep; at < bytes.length; ) {
      const next = Math.min(at + step, bytes.length);
      unpack.push(bytes.subarray(at, next), next === bytes.length);
      at = next;
      const size = out.reduce((sum, { length }) => sum + length, 0);
      step = size > atOnce ? Math.max(leastStep, step >> 1) : Math.min(mostStep, step * 2);
      yield* out;
      out = [];
    }
  } catch (error) {
    throw corrupt(`a compressed transaction that cannot be read (${(error as Error).message})`);
  }
}
