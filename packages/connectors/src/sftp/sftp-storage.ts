import { type Context, MillraceError } from '@millrace/core/runtime';
import type { Stats } from 'ssh2';
import { changed } from '../s3/mismatch.ts';
import type { FileReader, Stored } from '../s3/storage.ts';
import { readDirectory } from './directory.ts';
import { download, tagOf } from './download.ts';
import { isMissing } from './failure.ts';
import { type SftpPlace, urlOf } from './place.ts';
import type { SftpSession } from './session.ts';

/** A directory of an SFTP server as a place that can be read. */
export function sftpStorage(session: SftpSession, place: SftpPlace, context: Context): FileReader {
  const url = urlOf(place);
  const pathOf = (key: string): string => place.directory + key;

  async function head(key: string): Promise<Stored | null> {
    try {
      const found = await session.ask<Stats>(`looking at ${key}`, (sftp, answer) => sftp.stat(pathOf(key), answer));
      return found.isFile() ? storedOf(key, found) : null;
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  async function* walk(folder: string): AsyncGenerator<Stored> {
    if (folder.split('/').length > deepest) throw tooDeep(url);
    const entries = await readDirectory(session, pathOf(folder), `listing ${folder === '' ? 'the directory' : folder}`).catch(
      (error: unknown) => {
        if (isMissing(error) && folder !== '') return [];
        throw error;
      },
    );
    const named = entries
      // What a server calls a file is not to lead anywhere else.
      .filter(({ filename }) => filename !== '.' && filename !== '..' && !filename.includes('/'))
      .map(({ filename, attrs }) => ({ name: attrs.isDirectory() ? `${filename}/` : filename, attrs }))
      .sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
    for (const { name, attrs } of named) {
      if (name.endsWith('/')) yield* walk(folder + name);
      else if (attrs.isFile()) yield storedOf(folder + name, attrs);
      else if (attrs.isSymbolicLink()) {
        // To a file; a directory behind a link may be one that is being walked.
        const found = await head(folder + name);
        if (found) yield found;
      }
    }
  }

  return {
    url,
    shared: true,
    async *list(prefix, { after } = {}) {
      for await (const file of walk(prefix.slice(0, prefix.lastIndexOf('/') + 1))) {
        if (!file.key.startsWith(prefix)) continue;
        if (after === undefined || Buffer.compare(Buffer.from(file.key), Buffer.from(after)) > 0) yield file;
      }
    },
    head,
    async read(key) {
      const found = await head(key);
      if (!found) return null;
      return await session.ask<Buffer>(`reading ${key}`, (sftp, answer) => sftp.readFile(pathOf(key), answer));
    },
    async fetch(object, path) {
      const before = await head(object.key);
      if (before?.etag !== object.etag) throw changed(url + object.key, before === null);
      const came = await download(session, pathOf(object.key), path, object.size, () => context.signal.throwIfAborted());
      const now = await head(object.key);
      if (came !== object.size || now?.etag !== object.etag) throw changed(url + object.key, now === null);
      return path;
    },
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}

/** Deeper than anybody files things; a server may make up directories without end. */
const deepest = 64;

const tooDeep = (url: string): MillraceError =>
  new MillraceError('REMOTE_REFUSED', {
    message: `Directories below ${url} are nested more than ${deepest} deep.`,
    remedy: 'Begin the pattern with the directory that is meant.',
  });

const storedOf = (key: string, stats: Stats): Stored => ({
  key,
  size: stats.size,
  etag: tagOf(stats),
  modified: new Date(stats.mtime * 1000),
});
