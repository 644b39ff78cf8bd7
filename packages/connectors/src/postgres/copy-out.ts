import type { EventEmitter } from 'node:events';
import { Readable } from 'node:stream';
import { isMillraceError, MillraceError, type ReadCount } from '@millrace/core/runtime';
import type pg from 'pg';

export interface CopyOut {
  /** What the server copies, without the protocol's frames. Back-pressure reaches the socket. */
  readonly stream: Readable;
  /** Resolves when the server has said that all rows went out; rejects when it broke off, wherever the bytes end. */
  readonly done: Promise<ReadCount>;
}

export interface CopyOutParts {
  readonly text: string;
  /** Waits for the session's turn; `release` gives it on. */
  readonly hold: (start: (release: () => void) => void) => void;
  readonly translate: (error: unknown) => unknown;
  /** Bytes and CopyData messages of a chunk. */
  readonly onBytes: (bytes: number, messages: number) => void;
}

const copyData = 0x64;
const readyForQuery = 0x5a;
const headerBytes = 5;

/**
 * The driver makes an object and an event of each CopyData message, which is one for each row. So while a COPY runs, its
 * bytes go past the driver's parser: frames are taken out of each chunk in place, and only what is no CopyData (errors,
 * notices, CommandComplete, ReadyForQuery) is handed to the parser, message by message.
 */
export function copyOut(client: pg.Client, { text, hold, translate, onBytes }: CopyOutParts): CopyOut {
  let socket: CopySocket | undefined;
  let release = () => {};
  let rows = 0;
  let finished = false;
  let settle: { resolve(count: ReadCount): void; reject(error: unknown): void };
  const done = new Promise<ReadCount>((resolve, reject) => {
    settle = { resolve, reject };
  });
  done.catch(() => {}); // whoever reads the stream sees the error there; nobody has to look here
  const stream = new Readable({
    highWaterMark: 256 * 1024,
    read() {
      if (!finished) socket?.resume();
    },
    destroy(error, callback) {
      if (!finished) {
        // Nobody reads on: the rest of the COPY has no use, and neither has a session in the middle of it.
        finished = true;
        settle.reject(isMillraceError(error) ? error : stopped(error));
        socket?.destroy();
      }
      callback(error);
    },
  });
  stream.on('error', () => {}); // an error that nobody reads is no reason to end the process: `done` has it too
  const fail = (error: unknown) => {
    if (finished) return;
    finished = true;
    const translated = translate(error);
    settle.reject(translated);
    stream.destroy(translated as Error);
  };

  const query = {
    submit(connection: CopyConnection) {
      socket = connection.stream;
      const parsers = socket.listeners('data') as ((chunk: Buffer) => void)[];
      for (const parser of parsers) socket.off('data', parser);
      const parse = (message: Buffer) => {
        for (const parser of parsers) parser(message);
      };
      const onChunk = unframe(
        parse,
        (bytes, messages) => {
          onBytes(bytes.length, messages);
          if (!stream.destroyed && !stream.push(bytes)) socket?.pause();
        },
        () => {
          socket?.off('data', onChunk);
          for (const parser of parsers) socket?.on('data', parser);
          socket?.resume();
        },
      );
      socket.on('data', onChunk);
      connection.query(text);
    },
    handleCommandComplete: (message: { text: string }) => {
      rows = Number(/^COPY (\d+)$/.exec(message.text)?.[1] ?? Number.NaN);
    },
    handleReadyForQuery: () => {
      release();
      if (finished) return;
      if (Number.isNaN(rows))
        return fail(
          new MillraceError('WIRE_CORRUPT', {
            message: 'The server ended a COPY without its count of rows.',
            remedy: 'The part is thrown away and read again.',
          }),
        );
      finished = true;
      stream.push(null);
      settle.resolve({ rows });
    },
    handleError: (error: unknown) => {
      release();
      fail(error);
      socket?.resume();
    },
    handleRowDescription() {},
    handleDataRow() {},
    handleCopyInResponse() {},
  };
  hold((free) => {
    release = free;
    if (stream.destroyed) free();
    else client.query(query as unknown as pg.Submittable);
  });
  return { stream, done };
}

const stopped = (cause: unknown): MillraceError =>
  new MillraceError('WIRE_CORRUPT', {
    message: 'The rows were not read to their end.',
    remedy: 'The part is thrown away and read again.',
    cause,
  });

interface CopyConnection extends EventEmitter {
  readonly stream: CopySocket;
  query(text: string): void;
}

interface CopySocket extends EventEmitter {
  pause(): void;
  resume(): void;
  destroy(): void;
}

/**
 * A listener for the socket's chunks. Payloads are moved together at the front of their own chunk, so that a chunk is handed
 * on once and nothing is allocated for a row. `end` is called at ReadyForQuery, before the parser hears of it.
 */
export function unframe(
  parse: (message: Buffer) => void,
  emit: (bytes: Buffer, messages: number) => void,
  end: () => void,
): (chunk: Buffer) => void {
  /** Payload bytes of the current CopyData message that are still to come. */
  let payload = 0;
  /** The begin of a message that was cut by the end of a chunk: part of a header, or of a message for the parser. */
  let rest: Buffer | undefined;

  return function onChunk(chunk: Buffer): void {
    let at = 0;
    let filled = 0;
    let messages = 0;
    if (rest) {
      // A cut header or a cut small message: rare enough to copy.
      chunk = Buffer.concat([rest, chunk]);
      rest = undefined;
    }
    const size = chunk.length;
    while (at < size) {
      if (payload > 0) {
        const stop = payload < size - at ? at + payload : size;
        if (filled !== at) chunk.copyWithin(filled, at, stop);
        filled += stop - at;
        payload -= stop - at;
        at = stop;
        continue;
      }
      if (size - at < headerBytes) break;
      const length = ((chunk[at + 1]! << 24) | (chunk[at + 2]! << 16) | (chunk[at + 3]! << 8) | chunk[at + 4]!) >>> 0;
      if (chunk[at] === copyData) {
        payload = length - 4;
        at += headerBytes;
        messages++;
        continue;
      }
      if (size - at < length + 1) break;
      if (filled > 0) {
        // Bytes come before what the server says after them; the copy keeps them while the chunk is read on.
        emit(Buffer.from(chunk.subarray(0, filled)), messages);
        filled = 0;
        messages = 0;
      }
      const message = Buffer.from(chunk.subarray(at, at + length + 1));
      at += length + 1;
      if (message[0] === readyForQuery) {
        end();
        parse(at < size ? Buffer.concat([message, chunk.subarray(at)]) : message);
        return;
      }
      parse(message);
    }
    if (at < size) rest = Buffer.from(chunk.subarray(at));
    if (filled > 0) emit(filled === size ? chunk : chunk.subarray(0, filled), messages);
  };
}
