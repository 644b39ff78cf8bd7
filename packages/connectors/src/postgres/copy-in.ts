import type { EventEmitter } from 'node:events';
import { Writable } from 'node:stream';
import { MillraceError } from '@millrace/core/runtime';
import type pg from 'pg';

export interface CopyIn {
  /** Takes the bytes of the COPY. It finishes when the server has taken them all and said so. */
  readonly stream: Writable;
  /** Rows as the server counted them. Rejects when it refused them, or when the stream was destroyed. */
  readonly done: Promise<{ readonly rows: number }>;
}

/** Larger pieces are sent as several messages: a message's length is a signed 32-bit number, and the server holds one whole. */
const largestMessage = 16 * 1024 * 1024;

/**
 * COPY FROM STDIN as a stream. Destroyed with an error it sends CopyFail, so the server forgets the rows and the session can
 * be used on.
 */
export function copyIn(
  client: pg.Client,
  hold: (start: (release: () => void) => void) => void,
  text: string,
  translate: (error: unknown) => MillraceError,
): CopyIn {
  let connection: CopyInConnection | undefined;
  /** Set where the server waits for bytes: between CopyInResponse and the end. */
  let open = false;
  let ended = false;
  let release = () => {};
  let rows = 0;
  let onOpen: (() => void) | undefined;
  let onEnd: ((error: Error | null) => void) | undefined;
  let settle: { resolve(count: { rows: number }): void; reject(error: unknown): void };
  const done = new Promise<{ rows: number }>((resolve, reject) => {
    settle = { resolve, reject };
  });
  done.catch(() => {});

  const send = (chunk: Buffer, callback: () => void): void => {
    const socket = connection?.stream;
    if (!socket) return callback();
    let room = true;
    socket.cork();
    for (let at = 0; at < chunk.length; at += largestMessage) {
      const part = chunk.length <= largestMessage ? chunk : chunk.subarray(at, at + largestMessage);
      const header = Buffer.allocUnsafe(5);
      header[0] = 0x64;
      header.writeInt32BE(part.length + 4, 1);
      socket.write(header);
      room = socket.write(part);
    }
    socket.uncork();
    if (room) callback();
    else if (socket.destroyed) callback();
    else {
      // The connection may end instead of draining; the query's own error is then the one that is told.
      const next = () => {
        socket.off('drain', next);
        socket.off('close', next);
        callback();
      };
      socket.on('drain', next);
      socket.on('close', next);
    }
  };

  const stream = new Writable({
    highWaterMark: 256 * 1024,
    write(chunk: Buffer, _encoding, callback) {
      if (open) send(chunk, callback);
      else
        onOpen = () => {
          onOpen = undefined;
          send(chunk, callback);
        };
    },
    final(callback) {
      const finish = () => {
        onEnd = callback;
        open = false;
        connection?.endCopyFrom();
      };
      if (open) finish();
      else onOpen = finish;
    },
    destroy(error, callback) {
      if (ended) return callback(error);
      // Wait for the server to have forgotten the rows, so that the session is free for what comes next.
      onEnd = () => callback(error);
      settle.reject(error ?? stopped());
      const refuse = () => {
        open = false;
        connection?.sendCopyFail(error ? error.message.slice(0, 500) : 'stopped');
      };
      if (open) refuse();
      else if (connection) onOpen = refuse;
      else {
        ended = true;
        callback(error);
      }
    },
  });

  stream.on('error', () => {}); // an error that nobody listens for is no reason to end the process: `done` has it too

  const end = (error: MillraceError | null): void => {
    if (ended) return;
    ended = true;
    open = false;
    release();
    if (error) settle.reject(error);
    else settle.resolve({ rows });
    if (onEnd) onEnd(error);
    else if (error) stream.destroy(error);
  };
  const query = {
    submit(to: CopyInConnection) {
      connection = to;
      to.query(text);
    },
    handleCopyInResponse: () => {
      open = true;
      onOpen?.();
    },
    handleCommandComplete: (message: { text: string }) => {
      rows = Number(/^COPY (\d+)$/.exec(message.text)?.[1] ?? 0);
    },
    handleReadyForQuery: () => end(null),
    handleError: (error: unknown) => end(translate(error)),
    handleRowDescription() {},
    handleDataRow() {},
    handleCopyData() {},
  };
  hold((free) => {
    release = free;
    if (stream.destroyed) free();
    else client.query(query as unknown as pg.Submittable);
  });
  return { stream, done };
}

interface CopyInConnection extends EventEmitter {
  readonly stream: Writable & EventEmitter;
  query(text: string): void;
  endCopyFrom(): void;
  sendCopyFail(message: string): void;
}

const stopped = (): MillraceError =>
  new MillraceError('WIRE_CORRUPT', {
    message: 'The rows stopped coming before their end.',
    remedy: 'The part is thrown away and loaded again.',
  });
