import { randomUUID } from 'node:crypto';
import { copyFile, link, mkdir, open, readdir, readFile, rename, rm, rmdir, stat, unlink } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { MillraceError } from '@millrace/core/runtime';
import { fileFailure } from './file-failure.ts';
import { urlOf } from './location.ts';
import { changed } from './mismatch.ts';
import type { Storage, Stored } from './storage.ts';

/** Files being written have names that `list` passes over; after a crash `sweep` takes them away. */
const unfinished = '.unfinished-';

/** A directory as a `Storage`. */
export function localStorage(directory: string): Storage {
  const url = urlOf({ kind: 'file', directory });
  const pathOf = (key: string): string => join(directory, ...key.split('/'));

  /** Puts a finished file in its place, by `place`, from a name beside it. */
  async function finish(
    key: string,
    fill: (temporary: string) => Promise<void>,
    place: (temporary: string, path: string) => Promise<void>,
  ): Promise<void> {
    const path = pathOf(key);
    const folder = dirname(path);
    await mkdir(folder, { recursive: true });
    const temporary = join(folder, unfinished + randomUUID());
    try {
      await fill(temporary);
      await durable(temporary);
      await place(temporary, path);
      await durable(folder);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  const fillWith = (body: string) => async (temporary: string) => {
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(body);
    } finally {
      await file.close();
    }
  };

  async function head(key: string): Promise<Stored | null> {
    try {
      const found = await stat(pathOf(key), { bigint: true });
      if (!found.isFile()) return null;
      return {
        key,
        size: Number(found.size),
        etag: `${found.size.toString(36)}-${found.mtimeNs.toString(36)}-${found.ino.toString(36)}`,
        modified: found.mtime,
      };
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  async function* walk(folder: string): AsyncGenerator<string> {
    const entries = await readdir(pathOf(folder), { withFileTypes: true }).catch((error: unknown) => {
      if (isMissing(error)) return [];
      throw error;
    });
    const names = entries
      .filter(({ name }) => !name.startsWith(unfinished))
      .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name));
    for (const name of names.sort(byBytes)) {
      if (name.endsWith('/')) yield* walk(folder + name);
      else yield folder + name;
    }
  }

  const storage: Storage = {
    url,
    shared: false,
    async *list(prefix, { after } = {}) {
      const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
      for await (const key of walk(folder)) {
        if (!key.startsWith(prefix) || (after !== undefined && byBytes(key, after) <= 0)) continue;
        const found = await head(key);
        if (found) yield found;
      }
    },
    head,
    async read(key) {
      try {
        return await readFile(pathOf(key));
      } catch (error) {
        if (isMissing(error)) return null;
        throw error;
      }
    },
    async fetch(object) {
      const found = await head(object.key);
      if (found?.etag !== object.etag) throw changed(url + object.key, found === null);
      return pathOf(object.key);
    },
    write: (key, body) => finish(key, fillWith(body), rename),
    async create(key, body) {
      let created = true;
      await finish(key, fillWith(body), async (temporary, path) => {
        try {
          // Unlike rename, link never takes the place of a file that is there.
          await link(temporary, path);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
          created = false;
        }
      });
      return created;
    },
    async upload(key, path) {
      await finish(
        key,
        async (temporary) => {
          try {
            await rename(path, temporary);
          } catch (error) {
            if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
            await copyFile(path, temporary);
            await unlink(path);
          }
        },
        rename,
      );
      return (await head(key))!;
    },
    async delete(keys) {
      for (const key of keys) {
        await rm(pathOf(key), { force: true });
        await forgetEmpty(dirname(pathOf(key)));
      }
    },
    async sweep(before) {
      for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
        if (!entry.name.startsWith(unfinished)) continue;
        const path = join(entry.parentPath, entry.name);
        const found = await stat(path).catch(() => null);
        if (found && found.mtime < before) await rm(path, { force: true });
      }
    },
    async [Symbol.asyncDispose]() {},
  };
  return withErrors(storage);

  /** Directories that no file needs any more, up to the dataset's own. */
  async function forgetEmpty(folder: string): Promise<void> {
    if (!folder.startsWith(directory + sep)) return;
    try {
      await rmdir(folder);
    } catch {
      return;
    }
    await forgetEmpty(dirname(folder));
  }
}

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
const isMissing = (error: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');

/** What `write` has put into the system's cache is on the disk after this. Windows cannot do it for a directory, and need not. */
async function durable(path: string): Promise<void> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (process.platform === 'win32' && (error.code === 'EISDIR' || error.code === 'EPERM')) return null;
    throw error;
  });
  try {
    await file?.sync();
  } catch (error) {
    if (process.platform !== 'win32') throw error;
  } finally {
    await file?.close();
  }
}

/** System errors as errors of ours, for every call. */
function withErrors(storage: Storage): Storage {
  const said =
    <Args extends unknown[], Result>(call: (...args: Args) => Promise<Result>) =>
    async (...args: Args): Promise<Result> => {
      try {
        return await call(...args);
      } catch (error) {
        throw error instanceof MillraceError ? error : fileFailure(error, storage.url);
      }
    };
  return {
    ...storage,
    async *list(prefix, options) {
      try {
        yield* storage.list(prefix, options);
      } catch (error) {
        throw fileFailure(error, storage.url);
      }
    },
    head: said(storage.head),
    read: said(storage.read),
    fetch: said(storage.fetch),
    write: said(storage.write),
    create: said(storage.create),
    upload: said(storage.upload),
    delete: said(storage.delete),
    sweep: said(storage.sweep),
  };
}
