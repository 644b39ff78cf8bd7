import * as zlib from 'node:zlib';
import { corrupt, unfollowable } from './corrupt.ts';
import { Cursor } from './cursor.ts';
import { LogEvent } from './event.ts';

const fields = { end: 0, size: 1, method: 2, uncompressedSize: 3 } as const;
const methods = { zstd: 0, none: 255 } as const;

type Unzip = (bytes: Uint8Array, options: { readonly maxOutputLength: number }) => Buffer;
/** Since Node 22.15. */
const unzstd = (zlib as { readonly zstdDecompressSync?: Unzip }).zstdDecompressSync;

/**
 * The events of a whole transaction, which MySQL 8.0.20 and later may write as one compressed event. They have no checksums.
 *
 * @throws RESYNC_REQUIRED where this Node.js cannot decompress them
 */
export function* payloadEvents(event: LogEvent): Generator<LogEvent, void, undefined> {
  const cursor = new Cursor(event.bytes, event.start, event.end);
  let [size, method, uncompressed] = [0, methods.zstd as number, 0];
  for (let field = cursor.packed(); field !== fields.end; field = cursor.packed()) {
    const length = cursor.packed();
    const value = new Cursor(cursor.bytes, cursor.take(length), cursor.at);
    if (field === fields.size) size = value.packed();
    else if (field === fields.method) method = value.packed();
    else if (field === fields.uncompressedSize) uncompressed = value.packed();
  }
  const bytes = inflated(cursor.slice(size), method, uncompressed);
  const inner = new LogEvent();
  for (let at = 0; at < bytes.length; at += inner.size) {
    if (bytes.length - at < 19) throw corrupt('a compressed transaction that ends in the middle of an event');
    inner.read(bytes, at, at + bytes.readUInt32LE(at + 9), false);
    yield inner;
  }
}

function inflated(bytes: Buffer, method: number, size: number): Buffer {
  if (method === methods.none) return bytes;
  if (method !== methods.zstd) throw corrupt(`a transaction compressed by method ${method}`);
  if (!unzstd) {
    throw unfollowable(
      `The log has a compressed transaction, which Node.js ${process.version} cannot read.`,
      'SET GLOBAL binlog_transaction_compression = OFF, or run Node.js 22.15 or later.',
    );
  }
  try {
    return unzstd(bytes, { maxOutputLength: Math.max(1, size) });
  } catch (error) {
    throw corrupt(`a compressed transaction that cannot be read (${(error as Error).message})`);
  }
}
