import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MillraceError } from '@millrace/core/runtime';

/** What is gathered of one transaction before it is written: there may be as many open transactions as the source has connections. */
const bufferBytes = 128 * 1024;
const readBytes = 1024 * 1024;
const lengthBytes = 4;

/**
 * Transactions that the source sends while they are open, in a file each: messages as they came, behind their lengths. What a subtransaction has
 * done that was rolled back is left out when the file is read.
 */
export class TransactionSpools implements AsyncDisposable {
  readonly #directory: string;
  readonly #limit: number;
  readonly #open = new Map<number, Spool>();
  #bytes = 0;

  constructor(directory: string, limit: number) {
    this.#directory = directory;
    this.#limit = limit;
  }

  /** In files and in memory. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Answers whether `flush` is due. @throws SPOOL_FULL */
  add(xid: number, bytes: Buffer, start: number, end: number): boolean {
    let spool = this.#open.get(xid);
    if (!spool) {
      spool = {
        path: join(this.#directory, `transaction-${xid}`),
        file: null,
        buffer: Buffer.allocUnsafe(bufferBytes),
        filled: 0,
        size: 0,
        aborted: new Set(),
      };
      this.#open.set(xid, spool);
    }
    const length = end - start;
    const needed = spool.filled + lengthBytes + length;
    if (needed > spool.buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, spool.buffer.length * 2));
      spool.buffer.copy(larger, 0, 0, spool.filled);
      spool.buffer = larger;
    }
    spool.buffer.writeUInt32BE(length, spool.filled);
    bytes.copy(spool.buffer, spool.filled + lengthBytes, start, end);
    spool.filled = needed;
    this.#bytes += lengthBytes + length;
    if (this.#bytes > this.#limit) throw full(this.#limit, this.#open.size);
    return spool.filled >= bufferBytes;
  }

  async flush(xid: number): Promise<void> {
    const spool = this.#open.get(xid);
    if (!spool || spool.filled === 0) return;
    try {
      if (!spool.file) {
        await makeFolder(this.#directory);
        spool.file = await open(spool.path, 'w+');
      }
      for (let at = 0; at < spool.filled; ) {
        const { bytesWritten } = await spool.file.write(spool.buffer, at, spool.filled - at, spool.size + at);
        at += bytesWritten;
      }
    } catch (error) {
      throw failed(error, spool.path);
    }
    spool.size += spool.filled;
    spool.filled = 0;
    if (spool.buffer.length > bufferBytes) spool.buffer = Buffer.allocUnsafe(bufferBytes);
  }

  /** A part of the transaction was rolled back to a savepoint. */
  abortPart(xid: number, subxid: number): void {
    this.#open.get(xid)?.aborted.add(subxid);
  }

  /** True for what was rolled back. */
  isAborted(xid: number, subxid: number): boolean {
    return this.#open.get(xid)?.aborted.has(subxid) ?? false;
  }

  /** The messages of a transaction in their order. */
  async *read(xid: number): AsyncGenerator<Buffer, void, undefined> {
    const spool = this.#open.get(xid);
    if (!spool) return;
    let rest: Buffer = Buffer.alloc(0);
    for (let at = 0; at < spool.size; ) {
      // A new buffer each time: batches keep slices of it for as long as they need them.
      const block = Buffer.allocUnsafeSlow(Math.min(readBytes, spool.size - at));
      const read = await this.#readBlock(spool, block, at);
      at += read;
      const bytes = rest.length > 0 ? Buffer.concat([rest, block.subarray(0, read)]) : block.subarray(0, read);
      let from = 0;
      for (; bytes.length - from >= lengthBytes; ) {
        const end = from + lengthBytes + bytes.readUInt32BE(from);
        if (end > bytes.length) break;
        yield bytes.subarray(from + lengthBytes, end);
        from = end;
      }
      rest = bytes.subarray(from);
    }
    const { buffer, filled } = spool;
    for (let from = 0; from < filled; ) {
      const end = from + lengthBytes + buffer.readUInt32BE(from);
      yield buffer.subarray(from + lengthBytes, end);
      from = end;
    }
  }

  async #readBlock({ file, path }: Spool, block: Buffer, at: number): Promise<number> {
    let read = 0;
    try {
      while (read < block.length) {
        const { bytesRead } = (await file?.read(block, read, block.length - read, at + read)) ?? { bytesRead: 0 };
        if (bytesRead === 0) throw new Error('it is shorter than what was written to it');
        read += bytesRead;
      }
    } catch (error) {
      throw failed(error, path);
    }
    return read;
  }

  /** The transaction has been read, or was rolled back. */
  async drop(xid: number): Promise<void> {
    const spool = this.#open.get(xid);
    if (!spool) return;
    this.#open.delete(xid);
    this.#bytes -= spool.size + spool.filled;
    if (!spool.file) return;
    // Nobody wants what is in it: an error would say nothing.
    await spool.file.close().catch(() => {});
    await rm(spool.path, { force: true }).catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const xid of [...this.#open.keys()]) await this.drop(xid);
  }
}

interface Spool {
  readonly path: string;
  file: FileHandle | null;
  buffer: Buffer;
  filled: number;
  /** Bytes in the file. */
  size: number;
  readonly aborted: Set<number>;
}

/** Not "recursive" at first: with that Node says ENOENT of a full disk. */
async function makeFolder(path: string): Promise<void> {
  await mkdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return mkdir(path, { recursive: true });
    if (error.code !== 'EEXIST') throw error;
  });
}

const full = (limit: number, transactions: number): MillraceError =>
  new MillraceError('SPOOL_FULL', {
    message: `Transactions that are still open at the source (${transactions}) have more changes than the ${Math.round(limit / 2 ** 20)} MiB that may wait for them here.`,
    remedy:
      'Raise spoolBytes of the capture, or leave out streaming: the source then keeps what is open in files of its own. Nothing is lost; the stream goes on from where the targets are.',
    facts: { spoolBytes: limit, transactions },
  });

function failed(error: unknown, path: string): MillraceError {
  const { code, message } = error as NodeJS.ErrnoException;
  const isFull = code === 'ENOSPC' || code === 'EDQUOT';
  return new MillraceError(isFull ? 'DISK_FULL' : 'SPOOL_FULL', {
    message: `Changes of an open transaction could not be kept in ${path}: ${message}.`,
    remedy: isFull
      ? 'Free space there, or leave out streaming: the source then keeps what is open in files of its own. Nothing is lost; it is tried again.'
      : 'Check the directory. Nothing is lost; the stream goes on from where the targets are.',
    facts: { path },
    cause: error,
  });
}
