import { type Context, MillraceError } from '@millrace/core/runtime';
import { openSession, type Result, type Session, type SessionSettings } from '../client.ts';
import type { Place } from '../sqlstate.ts';
import { parseLsn } from './lsn.ts';
import { replicationError } from './refusal.ts';
import { createSlot, dropSlot, type Slot, type SlotOptions } from './slot.ts';
import { type StreamOptions, startCommand } from './start-command.ts';
import { type ReplicationStream, type StreamHandler, startStream } from './stream.ts';

export interface SystemIdentity {
  /** Of the cluster: a restored copy has the same one. */
  readonly systemId: string;
  readonly timeline: number;
  /** As far as the log is written. */
  readonly xlogpos: bigint;
  readonly dbname: string;
}

export interface StartOptions {
  readonly slot: string;
  /** Transactions that committed before are not sent, nor those before the slot's confirmed position. 0n for that one. */
  readonly from: bigint;
  readonly options: StreamOptions;
  readonly handler: StreamHandler;
}

/**
 * Opens a connection that can replicate. It ends as a session does: when it is disposed, or at once when the signal aborts.
 *
 * @throws what `openSession` throws, ACCESS_DENIED without the privilege to replicate, UNSUPPORTED through a pooler
 */
export async function openReplication(
  settings: SessionSettings,
  context: Pick<Context, 'secret' | 'signal'>,
  options: { readonly purpose?: string } = {},
): Promise<ReplicationConnection> {
  try {
    const session = await openSession(settings, context, { purpose: options.purpose ?? 'replication', replication: true });
    try {
      const [row] = await session.query(`select setting from pg_settings where name = 'wal_sender_timeout'`);
      return new ReplicationConnection(session, Number(row?.['setting'] ?? 0));
    } catch (error) {
      await session[Symbol.asyncDispose]();
      throw error;
    }
  } catch (error) {
    throw replicationError(error, {});
  }
}

/** One walsender of the source. Commands and streams that are asked for at once run one after another. */
export class ReplicationConnection implements AsyncDisposable {
  /** 0 where it is off: then neither end notices that the other is gone. */
  readonly walSenderTimeoutMs: number;
  readonly #session: Session;
  #stream: ReplicationStream | undefined;

  constructor(session: Session, walSenderTimeoutMs: number) {
    this.#session = session;
    this.walSenderTimeoutMs = walSenderTimeoutMs;
  }

  /** As Postgres counts: 150004 is 15.4. */
  get version(): number {
    return this.#session.version;
  }

  get place(): Place {
    return this.#session.place;
  }

  get ended(): boolean {
    return this.#session.ended;
  }

  async identifySystem(): Promise<SystemIdentity> {
    const { rows } = await this.#session.execute('IDENTIFY_SYSTEM');
    const row = rows[0] ?? {};
    return {
      systemId: row['systemid'] ?? '',
      timeline: Number(row['timeline']),
      xlogpos: parseLsn(row['xlogpos'] ?? ''),
      dbname: row['dbname'] ?? '',
    };
  }

  /** SQL without parameters. Lets go of a snapshot that was exported. */
  execute(text: string): Promise<Result> {
    return this.#session.execute(text);
  }

  /** See `createSlot`. A snapshot holds until the next command on this connection. */
  createSlot(options: SlotOptions): Promise<Slot> {
    return createSlot(this.#session, options);
  }

  /** Answers whether there was one. @throws SLOT_BUSY while somebody reads it */
  dropSlot(name: string): Promise<boolean> {
    return dropSlot(this.#session, name);
  }

  /**
   * Resolves when the server has accepted it, before the handler hears of anything. Nothing is confirmed until `release`. Once for a
   * connection: Postgres would end a second stream as soon as it began.
   *
   * @throws RESYNC_REQUIRED where the slot is gone or lost, SLOT_BUSY while another process reads it, UNSUPPORTED, IDENTIFIER_INVALID
   */
  async start({ slot, from, options, handler }: StartOptions): Promise<ReplicationStream> {
    const command = startCommand(this.version, slot, from, options);
    if (this.#stream) {
      throw new MillraceError('INTERNAL', {
        message: 'A connection carries one change stream in its life.',
        remedy: 'Please report it.',
      });
    }
    this.#stream = await startStream(this.#session, { command, slot, handler, walSenderTimeoutMs: this.walSenderTimeoutMs });
    return this.#stream;
  }

  /** Ends the connection. A stream that still runs is cut off, without another word on what was released. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stream?.destroy();
    await this.#session[Symbol.asyncDispose]();
  }
}
