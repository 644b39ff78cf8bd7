import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Context, type Fence, type LoadOwner, MillraceError } from '@millrace/core/runtime';
import { fileFailure } from '../../s3/file-failure.ts';
import { openStorage } from '../../s3/open-storage.ts';
import { StagingArea } from '../../s3/staging-area.ts';
import type { FilePlace } from '../../s3/target.ts';
import type { Session } from '../session.ts';

/** Where files for LOAD DATA FROM S3 lie while an Aurora reads them. */
export interface LoadFiles extends AsyncDisposable {
  /** On this machine, until it is full. */
  begin(): Promise<LoadFile>;
}

export interface LoadFile {
  rows: number;
  readonly bytes: number;
  write(chunk: Buffer): Promise<void>;
  /** Stores it, lets `read` have its place as LOAD DATA names it, and takes it away. */
  through<T>(read: (place: string) => Promise<T>): Promise<T>;
  [Symbol.asyncDispose](): Promise<void>;
}

const prefix = '_millrace/staging/';

/**
 * Files under a place on S3, for a server that can read them: an Aurora. Null for any other, which is sent its rows. What earlier attempts
 * have left there is taken away.
 *
 * @throws CONFIG_INVALID for a place that is not on S3
 */
export async function openLoadFiles(
  session: Session,
  { url, settings }: FilePlace,
  context: Context,
  owner: LoadOwner,
  fence: Fence,
): Promise<LoadFiles | null> {
  const [aurora] = await session.query("SHOW VARIABLES LIKE 'aurora_version'");
  if (!aurora) return null;
  const at = typeof url === 'string' ? url : await context.secret(url);
  if (!at.startsWith('s3://')) {
    throw new MillraceError('CONFIG_INVALID', {
      message: `${session.place.label}: an Aurora reads files from S3, and staging is a directory of this machine.`,
      remedy: 'Give staging an s3({ url }) that begins with s3://, or leave it out.',
    });
  }
  const area = new StagingArea(await openStorage(at, settings, context, prefix), context, owner, fence);
  await area.tidy('of earlier attempts');
  const scheme = settings.region === undefined ? 's3://' : `s3-${settings.region}://`;
  return {
    begin: () => loadFile(area, context.spool, (key) => (area.storage.url + key).replace('s3://', scheme)),
    [Symbol.asyncDispose]: async () => area[Symbol.asyncDispose](),
  };
}

async function loadFile(area: StagingArea, directory: string, placeOf: (key: string) => string): Promise<LoadFile> {
  const path = join(directory, `${randomUUID()}.tsv`);
  let handle: FileHandle | null = null;
  const dispose = async (): Promise<void> => {
    await handle?.close();
    handle = null;
    await rm(path, { force: true });
  };
  const file = {
    rows: 0,
    bytes: 0,
    async write(chunk: Buffer) {
      try {
        if (!handle) {
          await mkdir(directory, { recursive: true });
          handle = await open(path, 'wx');
        }
        await handle.appendFile(chunk);
      } catch (error) {
        throw fileFailure(error, directory);
      }
      file.bytes += chunk.length;
    },
    async through<T>(read: (place: string) => Promise<T>): Promise<T> {
      await handle?.close();
      handle = null;
      const key = area.key('tsv');
      const stored = await area.storage.upload(key, path);
      try {
        if (stored.size !== file.bytes) {
          throw new MillraceError('WIRE_CORRUPT', {
            message: `${area.storage.url}${key} was cut on its way.`,
            remedy: 'Nothing to do: what is in it is read again.',
          });
        }
        return await read(placeOf(key));
      } finally {
        await area.tidy([{ key }]);
      }
    },
    [Symbol.asyncDispose]: dispose,
  };
  return file;
}
