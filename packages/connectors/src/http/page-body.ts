import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MillraceError } from '@millrace/core/runtime';
import { PageScanner, type Scanned, type Wanted } from './json/page-scanner.ts';

/** A page that has come whole: what says how to go on, and its records, as often as they are wanted. */
export interface Page extends AsyncDisposable {
  readonly scanned: Scanned;
  /** Equal for pages whose records are equal. */
  readonly digest: string;
  /** The text of each record. */
  records(): AsyncGenerator<string, void, undefined>;
}

export interface PageLimits {
  readonly pageBytes: number;
  readonly recordBytes: number;
  /** Of a page that is kept in memory; more goes to a file. */
  readonly memoryBytes: number;
}

/** Of an answer without a body (204). */
export const emptyPage: Page = {
  scanned: { list: 'null', records: 0, values: new Map() },
  digest: '',
  async *records() {},
  async [Symbol.asyncDispose]() {},
};

let made = 0;

/**
 * Takes a page in. Nothing of it is handed on before its end has come, for a page that breaks off is asked for again; so a large one waits in a file
 * of the spool, and memory holds a record of it at a time.
 *
 * @throws WIRE_CORRUPT, REMOTE_REFUSED, MEMORY_EXHAUSTED
 */
export async function takePage(content: AsyncIterable<Buffer>, wanted: Wanted, spool: string, limits: PageLimits): Promise<Page> {
  const hash = createHash('sha256');
  const scanner = new PageScanner(wanted, (bytes) => hash.update(bytes).update('\n'), limits.recordBytes);
  const kept: Buffer[] = [];
  let bytes = 0;
  let file: { readonly handle: FileHandle; readonly path: string } | null = null;
  try {
    for await (const chunk of content) {
      bytes += chunk.length;
      if (bytes > limits.pageBytes) throw tooLarge(limits.pageBytes);
      scanner.push(chunk);
      if (!file && bytes > limits.memoryBytes) {
        const path = join(spool, `page-${process.pid}-${++made}.json`);
        file = { handle: await open(path, 'wx', 0o600), path };
        for (const early of kept.splice(0)) await file.handle.writeFile(early);
      }
      if (file) await file.handle.writeFile(chunk);
      else kept.push(chunk);
    }
    const scanned = scanner.end();
    await file?.handle.close();
    const path = file?.path ?? null;
    return {
      scanned,
      digest: hash.digest('base64'),
      records: () => recordsOf(path === null ? kept : createReadStream(path, { highWaterMark: 256 * 1024 }), wanted, limits.recordBytes),
      async [Symbol.asyncDispose]() {
        if (path !== null) await rm(path, { force: true });
      },
    };
  } catch (error) {
    await file?.handle.close().catch(() => {});
    if (file) await rm(file.path, { force: true });
    throw error;
  }
}

async function* recordsOf(chunks: Iterable<Buffer> | AsyncIterable<Buffer>, wanted: Wanted, recordBytes: number) {
  let ready: string[] = [];
  const scanner = new PageScanner(wanted, (bytes) => ready.push(decoded(bytes)), recordBytes);
  for await (const chunk of chunks) {
    scanner.push(chunk);
    const records = ready;
    ready = [];
    yield* records;
  }
  scanner.end();
  yield* ready;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decoded(bytes: Buffer): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new MillraceError('WIRE_CORRUPT', {
      message: 'A record is not UTF-8.',
      remedy: 'Have the API answer in UTF-8, as JSON must be.',
    });
  }
}

const tooLarge = (limit: number): MillraceError =>
  new MillraceError('MEMORY_EXHAUSTED', {
    message: `A page of the answer has more than ${limit} bytes, uncompressed.`,
    remedy: 'Ask for smaller pages, or raise maxPageBytes.',
    facts: { limit },
  });
