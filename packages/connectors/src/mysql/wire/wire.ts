import type { Duplex } from 'node:stream';
import { AnswerState } from './answer.ts';
import { type AnswerColumn, header, isRefusal, type Outcome, PacketReader, packetsOf, readRefusal } from './packets.ts';
import { corrupt, ServerRefusal, WireFailure } from './refusal.ts';
import { rowScanner, type ScanLimits, type ScannedRows } from './rows.ts';

/** What a statement answered. Values as the server prints them. */
export interface Answer extends Outcome {
  readonly columns: readonly AnswerColumn[];
  readonly rows: readonly (readonly (string | null)[])[];
}

const comQuit = 0x01;
const comQuery = 0x03;
/** Bytes of a file that go to the server in one packet: far below any server's max_allowed_packet. */
const filePacket = 256 * 1024;
/** Batches that wait for their reader before the server has to. */
const mostWaiting = 1;

/**
 * The command phase of the protocol over a socket on which a driver has logged in: statements as text, answers as text, one at a time.
 * Rows of a large answer come as batches of bytes, and no faster than they are taken.
 */
export class Wire {
  readonly #stream: Duplex;
  #take: (chunk: Buffer) => void = unexpected;
  #fail: (error: Error) => void = () => {};
  #failure: Error | null = null;

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on('data', (chunk: Buffer) => {
      try {
        this.#take(chunk);
      } catch (error) {
        this.destroy(error as Error);
      }
    });
    stream.on('error', (error) => this.#end(error));
    stream.on('close', () => this.#end(new WireFailure('ended', 'The server closed the connection.')));
  }

  /** The connection is gone, or going. */
  get ended(): boolean {
    return this.#failure !== null;
  }

  /** One statement; of several results (a procedure's) the last one that has rows. @throws ServerRefusal, WireFailure */
  query(text: string): Promise<Answer> {
    return this.#command<Answer>(text, (settle, reader) => {
      let last: Pick<Answer, 'columns' | 'rows'> = { columns: [], rows: [] };
      const state = new AnswerState();
      return () => {
        for (let payload = reader.next(); payload; payload = reader.next()) {
          const told = state.read(payload);
          if (told.at === 'file') throw corrupt('it asks for a file');
          if (told.at !== 'ended') continue;
          if (state.columns.length > 0) last = { columns: state.columns, rows: state.rows };
          if (!told.outcome.more) return settle({ ...told.outcome, ...last });
          state.begin();
        }
      };
    });
  }

  /** `LOAD DATA LOCAL INFILE`: the bytes are the file. Where they end with an error, or the server will not hear their end, the connection does too. */
  async load(text: string, file: AsyncIterable<Buffer>): Promise<Outcome> {
    const state = new AnswerState();
    let sending = false;
    try {
      return await this.#command<Outcome>(text, (settle, reader) => () => {
        for (let payload = reader.next(); payload; payload = reader.next()) {
          const told = state.read(payload);
          if (told.at === 'ended') return settle(told.outcome);
          if (told.at !== 'file') continue;
          sending = true;
          this.#send(file, reader.sequence + 1).then(
            () => {
              sending = false;
            },
            (error: unknown) => this.destroy(error as Error),
          );
        }
      });
    } finally {
      if (sending) this.destroy();
    }
  }

  /** The rows of a SELECT. A reader that leaves before the end must destroy the connection. */
  async *rows(text: string, limits?: ScanLimits): AsyncGenerator<ScannedRows, void, undefined> {
    const waiting: ScannedRows[] = [];
    let wake: () => void = () => {};
    let over: { readonly failure: Error | null } | null = null;
    const state = new AnswerState();
    this.#command<void>(text, (settle, reader) => {
      let scanner: ReturnType<typeof rowScanner> | null = null;
      const scan = (chunk: Buffer): void => {
        if (!scanner) return;
        waiting.push(...scanner.add(chunk));
        const { end } = scanner;
        if (end && 'refusal' in end) throw end.refusal;
        if (end?.rows) waiting.push(end.rows);
        if (end) settle();
        else if (waiting.length > mostWaiting) this.#stream.pause();
        wake();
      };
      return (chunk) => {
        if (scanner) return scan(chunk);
        for (let payload = reader.next(); payload; payload = reader.next()) {
          const told = state.read(payload);
          if (told.at !== 'rows') {
            if (told.at === 'columns') continue;
            throw corrupt('the statement has no rows');
          }
          scanner = rowScanner(state.columns.length, limits);
          const rest = reader.rest();
          if (rest.length > 0) scan(rest);
          return;
        }
      };
    }).then(
      () => {
        over = { failure: null };
        wake();
      },
      (error: unknown) => {
        over = { failure: error as Error };
        wake();
      },
    );
    for (;;) {
      const next = waiting.shift();
      if (next) {
        if (waiting.length === 0 && this.#stream.isPaused()) this.#stream.resume();
        yield next;
        continue;
      }
      const end = over as { readonly failure: Error | null } | null;
      if (end?.failure) throw end.failure;
      if (end) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }

  /** The socket, for somebody who speaks another part of the protocol on it from here on. */
  handOver(): Duplex {
    this.#stream.removeAllListeners('data');
    this.#failure ??= new WireFailure('ended', 'The connection serves another purpose.');
    return this.#stream;
  }

  /** Says goodbye. */
  async close(): Promise<void> {
    if (this.ended) return;
    this.#failure = new WireFailure('ended', 'The connection was closed.');
    const gone = new Promise<void>((resolve) => {
      this.#stream.once('close', () => resolve());
      setTimeout(resolve, 1_000).unref();
    });
    this.#stream.end(Buffer.concat(packetsOf(Buffer.from([comQuit]), 0)));
    await gone;
    this.#stream.destroy();
  }

  destroy(error: Error = new WireFailure('ended', 'The connection was cut.')): void {
    this.#end(error);
    this.#stream.destroy();
  }

  /**
   * Sends a statement. `answer` makes what takes the bytes of the answer, which have been given to `reader` before; what it throws that
   * the server has said ends the command, anything else the connection.
   */
  #command<T>(text: string, answer: (settle: (result: T) => void, reader: PacketReader) => (chunk: Buffer) => void): Promise<T> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise<T>((resolve, reject) => {
      const reader = new PacketReader();
      const over = (): void => {
        this.#take = unexpected;
        this.#fail = () => {};
        if (this.#stream.isPaused()) this.#stream.resume();
      };
      const take = answer((result) => {
        over();
        resolve(result);
      }, reader);
      this.#take = (chunk) => {
        try {
          if (!reader.taken) reader.add(chunk);
          take(chunk);
        } catch (error) {
          if (!(error instanceof ServerRefusal)) throw error;
          over();
          reject(error);
        }
      };
      this.#fail = reject;
      for (const piece of packetsOf(Buffer.concat([Buffer.from([comQuery]), Buffer.from(text, 'utf8')]), 0)) this.#stream.write(piece);
    });
  }

  async #send(file: AsyncIterable<Buffer>, first: number): Promise<void> {
    let sequence = first;
    const write = async (payload: Buffer): Promise<void> => {
      if (this.#failure) throw this.#failure;
      this.#stream.write(header(payload.length, sequence++));
      if (payload.length > 0 && !this.#stream.write(payload)) await drained(this.#stream);
    };
    for await (const chunk of file) for (let at = 0; at < chunk.length; at += filePacket) await write(chunk.subarray(at, at + filePacket));
    await write(Buffer.alloc(0)); // the end of the file
  }

  #end(error: Error): void {
    this.#failure ??= error;
    const fail = this.#fail;
    this.#fail = () => {};
    this.#take = () => {};
    fail(error);
  }
}

/** Nobody has asked: a server that ends a connection may say why. */
function unexpected(chunk: Buffer): never {
  const payload = new PacketReader();
  payload.add(chunk);
  const told = payload.next();
  if (told && isRefusal(told)) throw new WireFailure('ended', `The server ended the connection: ${readRefusal(told).message}`);
  throw corrupt('it says something that was not asked for');
}

function drained(stream: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done).off('close', done);
      resolve();
    };
    stream.on('drain', done).on('close', done);
  });
}
