import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Channel,
  type Checkpoint,
  type Context,
  failpoint,
  type LoadOwner,
  type LoadSession,
  type LoadSpec,
  MillraceError,
  type Receipt,
  type Sink,
  type Split,
  type StagedPart,
} from '@millrace/core/runtime';
import { textOf } from './client/body.ts';
import type { HttpClient } from './client/client.ts';
import { told } from './client/failure.ts';
import { under } from './client/place.ts';
import { bodyOf, rowTexts } from './json/row-text.ts';
import { checkWindow, type Ledger } from './ledger.ts';
import type { Posting } from './post-target.ts';
import { filled } from './requests.ts';

export const postFailpoints = ['http.post.sent', 'http.post.done'] as const;

/**
 * Rows wait in files of this attempt until all of them have come and every check has passed; the commit sends them. A receiver cannot take data and
 * checkpoint together, so an attempt that dies on the way is repeated whole: each request carries a key that is the same for the same rows of the same load. That
 * it was sent is noted after the last request, where there is a ledger.
 */
export class PostSink implements Sink {
  readonly #client: HttpClient;
  readonly #posting: Posting;
  readonly #ledger: Ledger | null;
  readonly #context: Context;

  constructor(client: HttpClient, posting: Posting, ledger: Ledger | null, context: Context) {
    this.#client = client;
    this.#posting = posting;
    this.#ledger = ledger;
    this.#context = context;
  }

  /** The receiver keeps none. */
  async checkpoint(owner: LoadOwner): Promise<Checkpoint | null> {
    return (await this.#ledger?.last(owner))?.checkpoint ?? null;
  }

  async begin(load: LoadSpec): Promise<LoadSession> {
    if (load.window !== null && !this.#ledger) throw noLedger(load);
    const last = (await this.#ledger?.last(load.owner)) ?? null;
    const isNoted = last?.receipt.loadId === load.id;
    if (!isNoted) checkWindow(load, last);
    return new PostSession({
      client: this.#client,
      posting: this.#posting,
      load,
      context: this.#context,
      applied: isNoted ? last.receipt : null,
      sent: async () => (await this.#ledger?.sent(load, last)) ?? null,
      note: async (receipt) => (await this.#ledger?.note(load, last, receipt)) ?? receipt,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
    await this.#ledger?.[Symbol.asyncDispose]();
  }
}

const noLedger = ({ owner, window }: LoadSpec): MillraceError =>
  new MillraceError('UNSUPPORTED', {
    message: `"${owner.step}" sends rows that were read since "${window?.column}", and the receiver cannot keep how far it has come.`,
    remedy: 'Name a place for files that can: post(\'…\', { ledger: s3({ url }) }); or read without "since".',
    facts: { step: owner.step },
  });

interface SessionParts {
  readonly client: HttpClient;
  readonly posting: Posting;
  readonly load: LoadSpec;
  readonly context: Context;
  readonly applied: Receipt | null;
  /** What another attempt at the load has come to since. */
  readonly sent: () => Promise<Receipt | null>;
  readonly note: (receipt: Receipt) => Promise<Receipt>;
}

let made = 0;

class PostSession implements LoadSession {
  readonly applied: Receipt | null;
  readonly #client: HttpClient;
  readonly #posting: Posting;
  readonly #load: LoadSpec;
  readonly #context: Context;
  readonly #sent: SessionParts['sent'];
  readonly #note: SessionParts['note'];
  readonly #files = new Map<string, string>();

  constructor({ client, posting, load, context, applied, sent, note }: SessionParts) {
    this.applied = applied;
    this.#client = client;
    this.#posting = posting;
    this.#load = load;
    this.#context = context;
    this.#sent = sent;
    this.#note = note;
  }

  async stage(split: Split, channel: Channel): Promise<StagedPart> {
    if (channel.format !== 'batches')
      throw new MillraceError('UNSUPPORTED', { message: `Rows are not sent as ${channel.format}.`, remedy: 'Send batches.' });
    const path = join(this.#context.spool, `post-${process.pid}-${++made}.jsonl`);
    const texts = rowTexts(channel.schema, this.#posting.numbers);
    let rows = 0;
    let bytes = 0;
    const file = await open(path, 'wx', 0o600);
    try {
      for await (const batch of channel.batches) {
        for (const text of inPieces(texts(batch))) {
          bytes += Buffer.byteLength(text);
          await file.writeFile(text);
        }
        rows += batch.rowCount;
      }
    } catch (error) {
      await closed(file);
      await rm(path, { force: true });
      throw error;
    }
    await file.close();
    await this.#forget(split.id);
    this.#files.set(split.id, path);
    return { split: split.id, rows, bytes, detail: {} };
  }

  async commit(parts: readonly StagedPart[], checkpoint: Checkpoint): Promise<Receipt> {
    const { to, path, concurrency } = this.#posting;
    const earlier = await this.#sent();
    if (earlier) return earlier;
    const url = under(this.#client.place, filled(to, path, this.#context.run));
    const sending = new Set<Promise<void>>();
    const failures: unknown[] = [];
    for (const part of parts) {
      for await (const { rows, number } of this.#requests(part)) {
        while (sending.size >= concurrency) await Promise.race(sending);
        if (failures.length > 0) break;
        const sent = this.#send(url, rows, `${part.split}/${number}`)
          .catch((error: unknown) => void failures.push(error))
          .finally(() => sending.delete(sent));
        sending.add(sent);
      }
    }
    await Promise.all(sending);
    if (failures.length > 0) throw failures[0];
    const sum = (of: 'rows' | 'bytes') => parts.reduce((all, part) => all + part[of], 0);
    failpoint('http.post.done');
    return await this.#note({ loadId: this.#load.id, rows: sum('rows'), bytes: sum('bytes'), checkpoint });
  }

  /** Rows by request, in their order. */
  async *#requests({ split }: StagedPart): AsyncGenerator<{ rows: string[]; number: number }, void, undefined> {
    const path = this.#files.get(split);
    if (path === undefined)
      throw new MillraceError('INTERNAL', { message: `Split ${split} was not staged here.`, remedy: 'Please report it.' });
    const { batchRows, batchBytes } = this.#posting;
    let rows: string[] = [];
    let bytes = 0;
    let number = 0;
    for await (const row of linesOf(path)) {
      const size = Buffer.byteLength(row) + 1;
      if (rows.length === batchRows || (rows.length > 0 && bytes + size > batchBytes)) {
        yield { rows, number: ++number };
        rows = [];
        bytes = 0;
      }
      rows.push(row);
      bytes += size;
    }
    if (rows.length > 0) yield { rows, number: ++number };
  }

  /** A receiver that finds a request too large gets it in halves. */
  async #send(url: URL, rows: readonly string[], name: string): Promise<void> {
    const { method, headers, body, keyHeader, accept } = this.#posting;
    const { text, type } = bodyOf(rows, body);
    // The rows are part of the key: a source that answers otherwise when it is read again must not have new rows taken for old ones.
    const key = createHash('sha256').update(`${this.#load.id}\n${name}\n${text}`).digest('hex').slice(0, 32);
    try {
      const asked = { method, url, body: text, accept, headers: { 'content-type': type, ...headers, [keyHeader.toLowerCase()]: key } };
      await this.#client.ask({ ...asked, doing: `sending ${rows.length} rows` }, async (response) => {
        const answer = await textOf(response, 64 * 1024);
        if (response.statusCode === 207 && !accept.includes(207)) throw inParts(answer);
      });
    } catch (error) {
      if (!(error instanceof MillraceError) || error.facts['status'] !== 413 || rows.length < 2) throw error;
      const half = Math.ceil(rows.length / 2);
      await this.#send(url, rows.slice(0, half), `${name}.1`);
      await this.#send(url, rows.slice(half), `${name}.2`);
      return;
    }
    this.#context.progress({ rows: rows.length, bytes: text.length });
    failpoint('http.post.sent');
  }

  async #forget(split: string): Promise<void> {
    const path = this.#files.get(split);
    if (path !== undefined) await rm(path, { force: true });
  }

  async abort(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {
    for (const split of this.#files.keys()) await this.#forget(split);
  }
}

/** Multi-Status: which of the rows were taken stands in a body that every API writes in its own way. */
const inParts = (answer: string): MillraceError =>
  new MillraceError('REMOTE_REFUSED', {
    message: `it has answered for each row by itself (207): ${told(answer)}`,
    remedy: "Send each row in a request of its own: body: 'row'; or say with accept: [207] that all are there.",
    facts: { status: 207 },
  });

const closed = (file: FileHandle): Promise<void> => file.close().catch(() => {});

/** Lines put together to what is worth a call of the system. */
function* inPieces(lines: Iterable<string>): Generator<string, void, undefined> {
  let piece = '';
  for (const line of lines) {
    piece += `${line}\n`;
    if (piece.length < 256 * 1024) continue;
    yield piece;
    piece = '';
  }
  if (piece !== '') yield piece;
}

async function* linesOf(path: string): AsyncGenerator<string, void, undefined> {
  let rest: Buffer[] = [];
  for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 }) as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      yield Buffer.concat([...rest, chunk.subarray(from, end)]).toString('utf8');
      rest = [];
      from = end + 1;
    }
    if (from < chunk.length) rest.push(chunk.subarray(from));
  }
}
