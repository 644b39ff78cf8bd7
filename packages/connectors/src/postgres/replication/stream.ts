import type { EventEmitter } from 'node:events';
import { MillraceError } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { cut } from './fields.ts';
import { frames } from './frames.ts';
import { type GatheringSocket, gathering } from './gather.ts';
import { replicationError } from './refusal.ts';
import { copyDone, keepalive, keepaliveBytes, sentAt, standbyStatus, xlogData, xlogHeaderBytes } from './status.ts';

/** Told of everything in the order of the stream, from within the socket's own event: what it throws ends the stream. */
export interface StreamHandler {
  /**
   * A message of the output plugin: the bytes from `start` to `end`. They stay as they are, so slices may be kept. The 24 bytes before
   * them are the server's log position of the message, the end of its log, and its clock.
   */
  message(bytes: Buffer, start: number, end: number): void;
  /**
   * Everything that committed before `walEnd` has been sent. Where nothing of it waits to be made durable, `walEnd` may be released:
   * that is what lets the server forget the log of tables that are not ours. `at`: its clock, microseconds from 1970.
   */
  keepalive(walEnd: bigint, at: bigint): void;
}

export interface StreamParts {
  readonly command: string;
  readonly slot: string;
  readonly handler: StreamHandler;
  /** Of this connection; 0 where it is off. */
  readonly walSenderTimeoutMs: number;
}

/** How often the server hears of us, at least. It gives a silent client up after its own timeout. */
const longestSilenceMs = 10_000;
/** How soon it hears what was released. */
const tickMs = 1_000;
const endPatienceMs = 5_000;

/** Resolves when the server has accepted the command. @throws RESYNC_REQUIRED, SLOT_BUSY, TABLE_MISSING, CONNECTION_FAILED, … */
export function startStream(session: Session, parts: StreamParts): Promise<ReplicationStream> {
  return new Promise((resolve, reject) => {
    session.submit((release) => new ReplicationStream(session, parts, release, resolve, reject).query);
  });
}

/**
 * A stream under way:
 *
 *   starting ─▶ running ─▶ ending ─▶ ended       `end` was called, and the server has stopped or lost its patience
 *                    └────────────▶ ended       the server, the network or the handler broke it: `done` says why
 *
 * While it runs, the driver's parser is out of the way, for it makes an object and an event of each message; only what is no row (errors,
 * notices, the end) is handed to it.
 */
export class ReplicationStream {
  /** Resolves after `end`, rejects with what broke the stream. Handlers hear nothing after it. */
  readonly done: Promise<void>;
  /** For the driver. */
  readonly query: object;
  readonly #session: Session;
  readonly #parts: StreamParts;
  readonly #periodMs: number;
  #state: 'starting' | 'running' | 'ending' | 'ended' = 'starting';
  #socket: StreamSocket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #notices: Disposable | undefined;
  #paused = false;
  /** Between the start and the first message. */
  #held = false;
  #heardAt = 0;
  #tickedAt = 0;
  #reportedAt = 0;
  #reported = 0n;
  #released = 0n;
  #received = 0n;
  /** The last message with a log position, which is read only when somebody asks. */
  #last: Buffer | undefined;
  #lastAt = 0;
  #settle!: { resolve(): void; reject(error: unknown): void };

  constructor(
    session: Session,
    parts: StreamParts,
    release: () => void,
    started: (stream: ReplicationStream) => void,
    refused: (error: unknown) => void,
  ) {
    this.#session = session;
    this.#parts = parts;
    const timeout = parts.walSenderTimeoutMs;
    this.#periodMs = timeout > 0 ? Math.min(longestSilenceMs, timeout / 3) : longestSilenceMs;
    this.done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.done.catch(refused); // after the start nobody hears of that; whoever waits for `done` does
    this.query = {
      submit: (connection: StreamConnection) => {
        this.#takeOver(connection.stream, () => started(this));
        connection.query(parts.command);
      },
      handleError: (error: unknown) => {
        release();
        this.#finish(replicationError(session.error(error, `slot "${parts.slot}"`), { slot: parts.slot }));
      },
      handleReadyForQuery: () => {
        release();
        this.#finish(serverEnded(session.place.label));
      },
      handleCommandComplete() {},
      handleCopyInResponse() {},
      handleCopyData() {},
      handleRowDescription() {},
      handleDataRow() {},
    };
  }

  /** How far the server has sent. */
  get received(): bigint {
    if (this.#last) {
      const position = this.#last.readBigUInt64BE(this.#lastAt + 1);
      if (position > this.#received) this.#received = position;
      this.#last = undefined;
    }
    return this.#received;
  }

  get released(): bigint {
    return this.#released;
  }

  /** The server may forget everything before `lsn`; it hears of that within a second. Never goes back. */
  release(lsn: bigint): void {
    if (lsn > this.#released) this.#released = lsn;
  }

  /** Stops reading. What has been read already still comes: at most one chunk of 64 KB. The server goes on hearing that we live. */
  pause(): void {
    this.#paused = true;
    this.#socket?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#heardAt = performance.now();
    if (this.#state !== 'ended' && !this.#held) this.#socket?.resume();
  }

  /**
   * Tells the server what was released, and ends the stream; handlers hear nothing more. The connection can be used again, unless the
   * server was in the middle of a long transaction, which it would send to its end: then the connection is cut.
   */
  async end(): Promise<void> {
    if (this.#state === 'running') {
      this.#report(false);
      this.#state = 'ending';
      clearInterval(this.#timer);
      this.#socket?.write(copyDone);
      this.#socket?.resume();
      const impatience = setTimeout(() => void this.#session.kill(), endPatienceMs);
      await this.done;
      clearTimeout(impatience);
    } else await this.done.catch(() => {});
  }

  /** Cuts the connection. */
  async destroy(): Promise<void> {
    if (this.#state !== 'ended') this.#state = 'ending';
    this.#finish(null);
    await this.#session.kill();
  }

  #takeOver(socket: StreamSocket, started: () => void): void {
    this.#socket = socket;
    const parsers = socket.listeners('data') as ((chunk: Buffer) => void)[];
    const parse = (bytes: Buffer): void => {
      for (const parser of parsers) parser(bytes);
    };
    const split = frames({
      data: (bytes, start, end) => this.#take(bytes, start, end),
      other: (message) => {
        switch (message[0]) {
          case 0x57: // CopyBothResponse
            this.#begin();
            started();
            return false;
          case 0x63: // CopyDone: the server's half of the end
            return true;
          case 0x5a: // ReadyForQuery: the connection is the driver's again
            socket.off('data', onChunk);
            for (const parser of parsers) socket.on('data', parser);
            socket.resume();
            parse(message);
            return false;
          default:
            parse(message);
            return true;
        }
      },
      rest: (bytes) => {
        if (this.#state !== 'running') {
          if (bytes.length > 0) parse(bytes);
          return;
        }
        // Whoever waits for the start has the stream before its handler hears of anything.
        this.#held = true;
        socket.pause();
        setImmediate(() => {
          this.#held = false;
          onChunk(bytes);
          if (!this.#paused) socket.resume();
        });
      },
    });
    const afterRead = gathering(socket);
    const onChunk = (chunk: Buffer): void => {
      this.#heardAt = performance.now();
      try {
        split(chunk);
      } catch (error) {
        return this.#break(error);
      }
      afterRead(chunk.length, this.#heardAt);
    };
    for (const parser of parsers) socket.off('data', parser);
    socket.on('data', onChunk);
  }

  #begin(): void {
    this.#state = 'running';
    this.#heardAt = this.#tickedAt = this.#reportedAt = performance.now();
    this.#timer = setInterval(() => this.#tick(), Math.min(tickMs, this.#periodMs));
    this.#notices = this.#session.onNotice((message, sqlstate) => {
      if (sqlstate === '55000') this.#break(unpublished(this.#session.place.label, message));
    });
  }

  #take(bytes: Buffer, start: number, end: number): void {
    if (this.#state !== 'running') return;
    const kind = bytes[start];
    if (kind === xlogData && end - start >= xlogHeaderBytes) {
      this.#last = bytes;
      this.#lastAt = start;
      this.#parts.handler.message(bytes, start + xlogHeaderBytes, end);
    } else if (kind === keepalive && end - start === keepaliveBytes) {
      const walEnd = bytes.readBigUInt64BE(start + 1);
      if (walEnd > this.received) this.#received = walEnd;
      this.#parts.handler.keepalive(walEnd, sentAt(bytes, start + 9));
      if (bytes[end - 1] === 1) this.#report(false);
    } else throw cut(`a part of ${end - start} bytes and kind ${kind}`);
  }

  #tick(): void {
    const now = performance.now();
    const timeout = this.#parts.walSenderTimeoutMs;
    // This process slept, or was busy with itself: what came meanwhile has not been read yet.
    if (now - this.#tickedAt > 5 * tickMs) this.#heardAt = now;
    this.#tickedAt = now;
    const silence = this.#paused ? 0 : now - this.#heardAt;
    if (timeout > 0 && silence > 2 * timeout) this.#break(silent(this.#session.place.label, silence));
    // A server that has nothing to send says nothing, so it is asked.
    else if (now - this.#reportedAt >= this.#periodMs) this.#report(silence >= this.#periodMs);
    else if (this.#released > this.#reported) this.#report(false);
  }

  #report(answer: boolean): void {
    if (this.#state !== 'running' || !this.#socket || this.#socket.destroyed) return;
    const flushed = this.#released;
    if (this.received < flushed) this.#received = flushed;
    this.#socket.write(standbyStatus({ written: this.received, flushed, answer }));
    this.#reported = flushed;
    this.#reportedAt = performance.now();
  }

  /** Something on our side of the wire: the server would go on, so the connection is cut. */
  #break(error: unknown): void {
    this.#socket?.pause();
    this.#finish(this.#session.error(error));
    void this.#session.kill();
  }

  #finish(error: MillraceError | null): void {
    if (this.#state === 'ended') return;
    const asked = this.#state === 'ending';
    this.#state = 'ended';
    clearInterval(this.#timer);
    this.#notices?.[Symbol.dispose]();
    if (asked || error === null) this.#settle.resolve();
    else this.#settle.reject(error);
  }
}

interface StreamConnection extends EventEmitter {
  readonly stream: StreamSocket;
  query(text: string): void;
}

interface StreamSocket extends EventEmitter, GatheringSocket {
  write(bytes: Buffer): boolean;
  pause(): void;
  resume(): void;
}

const serverEnded = (label: string): MillraceError =>
  new MillraceError('CONNECTION_FAILED', {
    message: `${label}: the server ended the change stream.`,
    remedy: 'Nothing to do: it is opened again with backoff.',
  });

/** Since 18 a publication that is not there is only warned of, and its tables are left out of the stream. */
const unpublished = (label: string, warning: string): MillraceError =>
  new MillraceError('TABLE_MISSING', {
    message: `${label}: ${warning}. It did not exist where the stream is now.`,
    remedy: 'Create the publication at the source before its slot: CREATE PUBLICATION … FOR TABLE …;',
    facts: { reason: 'publication' },
  });

const silent = (label: string, silence: number): MillraceError =>
  new MillraceError('CONNECTION_FAILED', {
    message: `${label}: the server of the change stream has been silent for ${Math.round(silence / 1000)} s, although it was asked.`,
    remedy: 'Nothing to do: the stream is opened again with backoff. If it stays, look at the way to the server.',
    facts: { silenceMs: Math.round(silence) },
  });
