import { createReadStream, createWriteStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { MillraceError, type RowSchema } from '@millrace/core/runtime';
import type { Segment } from '../../s3/changelog/change-spool.ts';
import { StagingArea } from '../../s3/staging-area.ts';
import { passing } from './failpoints.ts';

/** A file of rows that wait for the warehouse: CSV with a line of its own before the rows, packed by gzip. */
export interface StagedFile {
  readonly table: string;
  readonly schema: RowSchema;
  readonly key: string;
  readonly etag: string;
  readonly bytes: number;
  readonly rows: number;
}

/** COPY passes over the first line. */
const header = 'staged\n';

export class MirrorArea extends StagingArea {
  /** Packs and stores what a spool has collected; the segment's file is gone afterwards. */
  async put(segment: Segment): Promise<StagedFile> {
    const { table, schema, path, rows } = segment;
    const key = this.key('csv.gz');
    const packed = `${path}.gz`;
    const text = Readable.from(lines(path), { objectMode: false, highWaterMark: 512 * 1024 });
    await pipeline(text, createGzip({ chunkSize: 256 * 1024 }), createWriteStream(packed), { signal: this.context.signal });
    const { size } = await stat(packed);
    const stored = await this.storage.upload(key, packed);
    await Promise.all([rm(packed, { force: true }), rm(path, { force: true })]);
    if (stored.size !== size) {
      throw new MillraceError('WIRE_CORRUPT', {
        message: `${this.storage.url}${key} was cut on its way.`,
        remedy: 'Nothing to do: what is in it is read again.',
      });
    }
    passing('redshift.apply.uploaded');
    return { table, schema, key, etag: stored.etag, bytes: size, rows };
  }

  /** What COPY reads: some of the files, by one key, which `tidy` takes. */
  async list(files: readonly StagedFile[]): Promise<string> {
    const key = this.key('manifest');
    const entries = files.map((file) => ({ url: this.storage.url + file.key, mandatory: true, meta: { content_length: file.bytes } }));
    await this.storage.write(key, JSON.stringify({ entries }));
    return key;
  }

  override async tidy(files: Parameters<StagingArea['tidy']>[0]): Promise<void> {
    await super.tidy(files);
    passing('redshift.apply.tidied');
  }
}

async function* lines(path: string): AsyncGenerator<Buffer> {
  yield Buffer.from(header);
  yield* createReadStream(path, { highWaterMark: 512 * 1024 }) as AsyncIterable<Buffer>;
}

/** The rows of a staged file, without the line before them. */
export async function* withoutHeader(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let left = header.length;
  for await (const chunk of chunks) {
    const skipped = Math.min(left, chunk.length);
    left -= skipped;
    if (chunk.length > skipped) yield chunk.subarray(skipped);
  }
}
