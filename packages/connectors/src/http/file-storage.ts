import { open } from 'node:fs/promises';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { type Context, MillraceError, type RunFacts } from '@millrace/core/runtime';
import { changed } from '../s3/mismatch.ts';
import type { FileReader, Stored } from '../s3/storage.ts';
import { contentOf } from './client/body.ts';
import type { Asked, HttpClient } from './client/client.ts';
import { shownUrl, under } from './client/place.ts';
import { filled } from './requests.ts';
import type { ParameterValue } from './rows-options.ts';

/** Files are wanted as they are, and not compressed on the way. */
const plain = { 'accept-encoding': 'identity', accept: '*/*' };

/**
 * Files at URLs, as a place that can be read. There is no listing of a web server: what it "lists" are the names that were given, each looked at.
 */
export function fileStorage(client: HttpClient, names: readonly string[], mayBeEmpty: boolean, context: Context): FileReader {
  const url = shownUrl(client.place, client.place.base);
  const asked = (key: string, doing: string) => ({ method: 'GET', url: under(client.place, key), everywhere: plain, doing }) as const;

  async function head(key: string): Promise<Stored | null> {
    const of = (response: IncomingMessage): Stored | null | 'unknown' => {
      const status = response.statusCode ?? 0;
      if (status === 404 || status === 410) return null;
      return status === 405 || status === 501 ? 'unknown' : storedOf(key, response.headers);
    };
    const accept = [404, 405, 410, 501];
    const looked = await client.ask({ ...asked(key, 'looking at the file'), method: 'HEAD', accept }, async (response) => of(response));
    if (looked !== 'unknown') return looked;
    // Whoever does not know HEAD knows GET: the head of its answer is enough.
    const got = await client.ask({ ...asked(key, 'looking at the file'), accept }, async (response) => of(response));
    return got === 'unknown' ? null : got;
  }

  return {
    url: url.endsWith('/') ? url : `${url}/`,
    shared: true,
    async *list(prefix) {
      for (const name of names) {
        if (!name.startsWith(prefix)) continue;
        const found = await head(name);
        if (found) yield found;
        else if (!mayBeEmpty) throw missing(`${url}${name}`);
      }
    },
    head,
    read: async (key) =>
      await client.ask({ ...asked(key, 'reading the file'), accept: [404, 410] }, async (response) => {
        if (response.statusCode === 404 || response.statusCode === 410) return null;
        const chunks: Buffer[] = [];
        for await (const chunk of contentOf(response)) chunks.push(chunk);
        return Buffer.concat(chunks);
      }),
    async fetch(object, path) {
      await using file = await open(path, 'w', 0o600);
      let done = 0;
      /** Bytes that were unpacked as they came are no place in what the server has. */
      let isAsItIs = false;
      const request: Asked = {
        ...asked(object.key, 'reading the file'),
        // What has come already need not come again, where the server can say that the file is still the same.
        get everywhere() {
          return { ...plain, ...(done > 0 && isAsItIs && isStrong(object.etag) && { range: `bytes=${done}-`, 'if-range': object.etag }) };
        },
        accept: [404, 410, 412, 416],
      };
      const size = await client.ask(request, async (response) => {
        const { statusCode: status, headers } = response;
        if (status === 404 || status === 410) throw changed(url + object.key, true);
        if (status === 412 || status === 416 || !isSame(object, headers)) throw changed(url + object.key, false);
        if (status !== 206 || rangeStart(headers) !== done) {
          if (status === 206)
            throw new MillraceError('WIRE_CORRUPT', { message: 'another range came than was asked for', remedy: 'Tried again.' });
          done = 0;
        }
        // A .gz file that the server says is compressed is as it should be; anything else is unpacked as it comes.
        isAsItIs = !headers['content-encoding'] || /\.(gz|gzip|zst|zstd)$/i.test(object.key);
        for await (const chunk of isAsItIs ? (response as AsyncIterable<Buffer>) : contentOf(response)) {
          context.signal.throwIfAborted();
          await file.write(chunk, 0, chunk.length, done);
          done += chunk.length;
        }
        return isAsItIs ? done : null;
      });
      await file.truncate(done);
      if (size !== null && object.size > 0 && size !== object.size) throw changed(url + object.key, false);
      return path;
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

/** Without a tag or a time the server says nothing by which a change could be seen. Size 0 where it says none. */
function storedOf(key: string, headers: IncomingHttpHeaders): Stored {
  const range = /\/(\d+)$/.exec(headers['content-range'] ?? '')?.[1];
  const size = Number(range ?? (headers['content-encoding'] ? 0 : (headers['content-length'] ?? 0)));
  const modified = new Date(headers['last-modified'] ?? 0);
  return { key, size, etag: tagOf(headers) ?? `size:${size}`, modified: Number.isNaN(modified.getTime()) ? new Date(0) : modified };
}

const tagOf = (headers: IncomingHttpHeaders): string | null =>
  headers.etag ?? (headers['last-modified'] ? `modified:${headers['last-modified']}` : null);

function isSame({ etag }: Pick<Stored, 'etag'>, headers: IncomingHttpHeaders): boolean {
  const now = tagOf(headers);
  return now === null || etag.startsWith('size:') || now === etag;
}

const isStrong = (etag: string): boolean => etag.startsWith('"');
const rangeStart = (headers: IncomingHttpHeaders): number => Number(/^bytes (\d+)-/.exec(headers['content-range'] ?? '')?.[1] ?? 0);

const missing = (file: string): MillraceError =>
  new MillraceError('TABLE_MISSING', {
    message: `There is no file ${file}.`,
    remedy: 'Check url and name; with { mayBeEmpty: true } a file that is not there has no rows.',
    facts: { file },
  });

/**
 * The names that a pattern stands for: `{a,b}` for each of its alternatives, `{day}` for a value of the run. The other signs of patterns would need a listing.
 *
 * @throws PIPELINE_INVALID
 */
export function fileNames(pattern: string): string[] {
  if (/[*?[]/.test(pattern)) {
    throw new MillraceError('PIPELINE_INVALID', {
      message: `"${pattern}" cannot be read over HTTP: web servers do not list their files.`,
      remedy: "Name the files: 'orders-{eu,us}.csv', or by values of the run: 'orders-{day}.csv' with path: { day: run.date }.",
    });
  }
  const open = /\{([^{},]*(?:,[^{},]*)+)\}/.exec(pattern);
  if (!open) return [pattern.replace(/^(\.?\/)+/, '')];
  const [whole, alternatives = ''] = open;
  return alternatives.split(',').flatMap((one) => fileNames(pattern.slice(0, open.index) + one + pattern.slice(open.index + whole.length)));
}

/** With values of the run in place of `{name}`. @throws CONFIG_INVALID for a value that is no part of a file's name */
export function filledName(pattern: string, values: Readonly<Record<string, ParameterValue>>, run: RunFacts): string {
  const name = filled(pattern, values, run);
  if (!name.includes('%') || pattern.includes('%')) return name;
  throw new MillraceError('CONFIG_INVALID', {
    message: `A value of the run makes "${decodeURIComponent(name)}" of "${pattern}", which is not a file's name.`,
    remedy: 'Use letters, digits, ".", "-" and "_".',
  });
}
