import type { Duplex } from 'node:stream';
import type { Context } from '@millrace/core/runtime';
import type { SessionSettings } from '../credentials.ts';
import { openSession, type Session } from '../session.ts';
import { isEnd, isRefusal, packetsOf, readRefusal } from '../wire/packets.ts';
import { WireFailure } from '../wire/refusal.ts';
import { corrupt } from './corrupt.ts';
import { type DumpFrom, dumpRequest, registration, sessionVariables } from './dump-request.ts';
import { eventTypes, hasChecksums, LogEvent } from './event.ts';
import { Packets } from './packets.ts';

/** Seconds after which the server says that it lives where it has nothing else to say. */
const heartbeatSeconds = 5;
/** So long may it say nothing at all, while it is listened to. */
const silenceMs = 4 * heartbeatSeconds * 1000;

/**
 * Told of each event, in the order of the log. The event is a cursor that changes at the next one. While what it answers is pending nothing more
 * comes; what it throws ends the stream.
 */
export type EventHandler = (event: LogEvent) => void | Promise<void>;

export interface StreamParts {
  readonly settings: SessionSettings;
  readonly context: Pick<Context, 'secret' | 'signal'>;
  readonly from: DumpFrom;
  readonly handler: EventHandler;
}

/** A binary log as the server sends it to a replica. */
export class BinlogStream {
  /** Rejects when the stream ends, since it never does by itself. */
  readonly done: Promise<never>;
  readonly #session: Session;
  readonly #socket: Duplex;
  readonly #handler: EventHandler;
  readonly #packets: Packets;
  readonly #event = new LogEvent();
  readonly #watch: NodeJS.Timeout;
  #reject: (error: unknown) => void = () => {};
  #hasChecksums: boolean;
  #isOver = false;
  /** Nobody wants more, or somebody is at work on what came. */
  #isPaused = false;
  #isWorking = false;
  #heardAt = performance.now();

  private constructor(session: Session, socket: Duplex, handler: EventHandler, checksums: boolean) {
    this.#session = session;
    this.#socket = socket;
    this.#handler = handler;
    this.#hasChecksums = checksums;
    this.#packets = new Packets((bytes, start, end) => this.#packet(bytes, start, end));
    this.done = new Promise<never>((_, reject) => {
      this.#reject = reject;
    });
    this.done.catch(() => {});
    socket.on('data', (chunk: Buffer) => this.#attempt(() => this.#packets.push(chunk)));
    socket.on('error', (error) => this.#end(error));
    socket.on('close', () => this.#end(new WireFailure('ended', 'The server closed the connection.')));
    this.#watch = setInterval(() => this.#listen(), heartbeatSeconds * 1000);
    this.#watch.unref();
  }

  /** @throws as `openSession` does; RESYNC_REQUIRED comes later, by `done`, since the server looks for the place when it has been asked */
  static async open({ settings, context, from, handler }: StreamParts): Promise<BinlogStream> {
    const session = await openSession(settings, context, { purpose: 'capture' });
    try {
      const { flavour } = session.server;
      for (const variable of sessionVariables(flavour, from, heartbeatSeconds)) await session.execute(`SET ${variable}`);
      const [row] = await session.query('SELECT @@global.binlog_checksum AS checksum');
      const socket = session.handOver();
      const stream = new BinlogStream(session, socket, handler, row?.['checksum'] !== 'NONE');
      await stream.#register(from);
      for (const piece of packetsOf(dumpRequest(flavour, from), 0)) socket.write(piece);
      return stream;
    } catch (error) {
      await session.kill();
      throw session.error(error);
    }
  }

  pause(): void {
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#heardAt = performance.now();
    if (!this.#isWorking) this.#socket.resume();
  }

  destroy(): void {
    this.#isOver = true;
    clearInterval(this.#watch);
    this.#socket.destroy();
    void this.#session.kill();
  }

  /** So that the server lists this reader among its replicas. */
  #register(from: DumpFrom): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#answer = (bytes, start, end) => {
        this.#answer = null;
        const payload = bytes.subarray(start, end);
        if (isRefusal(payload)) reject(this.#session.error(readRefusal(payload)));
        else resolve();
      };
      this.done.catch(reject);
      for (const piece of packetsOf(registration(from), 0)) this.#socket.write(piece);
    });
  }

  /** Takes the answer to a command before the log. */
  #answer: ((bytes: Buffer, start: number, end: number) => void) | null = null;

  #packet(bytes: Buffer, start: number, end: number): void {
    this.#heardAt = performance.now();
    if (this.#answer) {
      this.#packets.begin();
      return this.#answer(bytes, start, end);
    }
    const first = bytes[start];
    if (first !== 0) {
      const payload = bytes.subarray(start, end);
      if (isRefusal(payload)) throw readRefusal(payload);
      if (isEnd(payload)) throw new WireFailure('ended', 'The server ended the log, and shuts down.');
      throw corrupt(`a packet that begins with ${first}`);
    }
    const event = this.#event;
    event.read(bytes, start + 1, end, this.#hasChecksums);
    if (event.type === eventTypes.format) this.#hasChecksums = hasChecksums(event);
    const work = this.#handler(event);
    if (work) void this.#await(work);
  }

  async #await(work: Promise<void>): Promise<void> {
    this.#isWorking = true;
    this.#packets.stop();
    this.#socket.pause();
    try {
      await work;
    } catch (error) {
      return this.#end(error);
    }
    if (this.#isOver) return;
    this.#isWorking = false;
    this.#attempt(() => this.#packets.go());
    if (!this.#isWorking && !this.#isPaused && !this.#isOver) this.resume();
  }

  #attempt(work: () => void): void {
    if (this.#isOver) return;
    try {
      work();
    } catch (error) {
      this.#end(error);
    }
  }

  #listen(): void {
    if (this.#isPaused || this.#isWorking) this.#heardAt = performance.now();
    else if (performance.now() - this.#heardAt > silenceMs)
      this.#end(new WireFailure('ended', `The server has said nothing for ${silenceMs / 1000} seconds, not even that it lives.`));
  }

  #end(error: unknown): void {
    if (this.#isOver) return;
    this.destroy();
    this.#reject(error);
  }

  /** An error of this stream in our words. */
  error(error: unknown): unknown {
    return this.#session.error(error);
  }
}
