import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { digestBytes } from './row-digest.ts';

/** By the first byte of the key's hash: rows with one key are in one part on both sides, and a part fits into memory. */
export const parts = 256;

/** Rows of a part that are kept in memory before they go to disk: 256 parts of 64 KiB are 16 MiB. */
const chunkBytes = 64 * 1024;

interface Chunk {
  buffer: Buffer;
  used: number;
  file: number | null;
}

/** The digests of one side's rows, in parts; on disk once there are many. 16 bytes a row, whatever the row. */
export class DigestSpool implements Disposable {
  readonly #directory: string;
  readonly #chunks: Chunk[];
  /** Rows written. */
  rows = 0;

  constructor(directory: string) {
    this.#directory = directory;
    this.#chunks = Array.from({ length: parts }, () => ({ buffer: Buffer.alloc(0), used: 0, file: null }));
  }

  /** Keeps a copy. */
  add(digest: Buffer): void {
    const part = digest[0] as number;
    const chunk = this.#chunks[part] as Chunk;
    if (chunk.used + digestBytes > chunk.buffer.length) this.#makeRoom(part);
    digest.copy(chunk.buffer, chunk.used, 0, digestBytes);
    chunk.used += digestBytes;
    this.rows++;
  }

  /** All digests of a part, four 32-bit words each: two of the key's hash, two of the row's. */
  part(part: number): Uint32Array {
    const { buffer, used, file } = this.#chunks[part] as Chunk;
    const onDisk = file === null ? Buffer.alloc(0) : readFileSync(this.#path(part));
    const all = new Uint8Array(onDisk.length + used);
    all.set(onDisk);
    all.set(buffer.subarray(0, used), onDisk.length);
    return new Uint32Array(all.buffer);
  }

  /** A small side never touches the disk: its chunks double until they are full. */
  #makeRoom(part: number): void {
    const chunk = this.#chunks[part] as Chunk;
    if (chunk.buffer.length < chunkBytes) {
      const larger = Buffer.alloc(Math.max(512, chunk.buffer.length * 2));
      chunk.buffer.copy(larger, 0, 0, chunk.used);
      chunk.buffer = larger;
      return;
    }
    if (chunk.file === null) {
      mkdirSync(this.#directory, { recursive: true });
      chunk.file = openSync(this.#path(part), 'w', 0o600);
    }
    writeSync(chunk.file, chunk.buffer, 0, chunk.used);
    chunk.used = 0;
  }

  #path(part: number): string {
    return join(this.#directory, part.toString(16).padStart(2, '0'));
  }

  [Symbol.dispose](): void {
    for (const { file } of this.#chunks) if (file !== null) closeSync(file);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
