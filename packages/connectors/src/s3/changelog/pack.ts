import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { type BytesChannel, type Context, MillraceError, type Position } from '@millrace/core/runtime';
import { csvToFiles, type FileFormat, type WrittenFile } from '../../duckdb/index.ts';
import { noteKey, writeNote } from '../staged.ts';
import type { Storage } from '../storage.ts';
import type { Segment } from './change-spool.ts';
import { passing } from './failpoints.ts';
import { fileName } from './file-name.ts';
import type { LoggedFile } from './stream-log.ts';

export interface Packing {
  readonly storage: Storage;
  readonly format: FileFormat;
  readonly context: Context;
  /** What stands for the stream in names of notes. */
  readonly stream: string;
  readonly epoch: number;
  /** Of a file: no other of this attempt has it. */
  nextNumber(): number;
}

export interface Packed extends LoggedFile {
  /** The note that names the file, until a manifest does. */
  readonly note: string;
}

/** Makes a file of a segment and stores it. Nobody sees it before a manifest lists it. */
export async function packSegment(packing: Packing, segment: Segment): Promise<Packed[]> {
  const { schema, path, rows, table, first, last } = segment;
  const channel: BytesChannel = {
    format: 'csv',
    schema,
    stream: createReadStream(path, { highWaterMark: 512 * 1024 }),
    done: Promise.resolve({ rows }),
  };
  const files = await packChannel(packing, channel, { table, first, last });
  await rm(path, { force: true });
  return files;
}

export interface Named {
  readonly table: string;
  readonly first: Position;
  readonly last: Position;
}

export async function packChannel(packing: Packing, channel: BytesChannel, { table, first, last }: Named): Promise<Packed[]> {
  const { storage, format, context, stream, epoch } = packing;
  const written = await csvToFiles(channel, format, context);
  passing('s3.log.converted');
  const files = written.map((file) => {
    const number = packing.nextNumber();
    return { file, key: fileName(table, first, last, epoch, number, file.extension), note: noteKey(stream, epoch, String(number)) };
  });
  const results: Packed[] = [];
  for (const { file, key, note } of files) {
    await writeNote(storage, note, { loadId: `${stream}-${epoch}`, keys: [key], at: context.now().toISOString() });
    passing('s3.log.noted');
    const { bytes, etag } = await uploaded(storage, key, file);
    passing('s3.log.uploaded');
    results.push({
      file: { key, bytes, rows: file.rows, etag, sha256: file.sha256, columns: file.columns },
      schema: channel.schema,
      log: { table, first, last },
      note,
    });
  }
  return results;
}

async function uploaded(storage: Storage, key: string, file: WrittenFile): Promise<{ bytes: number; etag: string }> {
  const { size, etag } = await storage.upload(key, file.path);
  await rm(file.path, { force: true });
  if (size === file.bytes) return { bytes: size, etag };
  throw new MillraceError('WIRE_CORRUPT', {
    message: `${storage.url}${key} was cut on its way.`,
    remedy: 'Nothing to do: what is in it is read again.',
  });
}
