import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { type Context, describeSetting, isMillraceError, MillraceError } from '@millrace/core/runtime';
import { bundleOf } from '../aws/authorities.ts';
import type { AmazonEndpoint } from '../aws/endpoint.ts';
import { logIn } from './connect.ts';
import { type Credentials, credentialsOf, differ, type SessionSettings } from './credentials.ts';
import { mysqlError, type Place, readOnly } from './errno.ts';
import { literal } from './literal.ts';
import { type Server, serverOf, serverQuery, settingStatements, unknownServer } from './server.ts';
import type { AnswerColumn, Outcome } from './wire/packets.ts';
import type { ScanLimits, ScannedRows } from './wire/rows.ts';
import { Wire } from './wire/wire.ts';

export interface SessionOptions {
  /** Shown as `program_name` among the connection's attributes, after `millrace`. */
  readonly purpose?: string;
  /** It will write: a read-only server is refused, since the name of the writer leads to the old one for a while after a failover. */
  readonly writer?: boolean;
  /** Keeps the server's own `sql_mode`: statements of users mean what they mean elsewhere. */
  readonly ownMode?: boolean;
}

/** Every value as the text that the server prints. */
export type TextRow = Readonly<Record<string, string | null>>;

export interface Result extends Outcome {
  readonly rows: TextRow[];
  readonly columns: readonly AnswerColumn[];
}

const killTimeoutMs = 2_000;

/**
 * Opens a session. It ends when it is disposed, or at once when the context's signal aborts: the running statement is killed at the
 * server, and what waits for it rejects with the signal's reason.
 *
 * A log-in that is refused is tried once more where the secret has changed since it was looked up.
 *
 * @throws AUTHENTICATION_FAILED, CERTIFICATE_REFUSED, CONNECTION_FAILED, CONNECTION_LIMIT, DATABASE_MISSING, CONFIG_INVALID, SECRET_MISSING
 */
export async function openSession(
  settings: SessionSettings,
  context: Pick<Context, 'secret' | 'signal'>,
  options: SessionOptions = {},
): Promise<Session> {
  const credentials = await credentialsOf(settings, context);
  const begun = (of: Credentials) => begin(settings, of, context, options);
  try {
    return await begun(credentials);
  } catch (error) {
    if (!isMillraceError(error) || error.code !== 'AUTHENTICATION_FAILED') throw error;
    const again = await credentialsOf(settings, context, credentials);
    if (!differ(credentials, again)) throw error;
    return begun(again);
  }
}

async function begin(
  settings: SessionSettings,
  credentials: Credentials,
  context: Pick<Context, 'secret' | 'signal'>,
  options: SessionOptions,
): Promise<Session> {
  const { signal } = context;
  if (signal.aborted) throw aborted(signal);
  const place = placeOf(settings, credentials, options);
  const { stream, thread, secure } = await logIn(credentials, `millrace${options.purpose ? ` ${options.purpose}` : ''}`).catch(
    (error: unknown) => {
      throw mysqlError(error, place);
    },
  );
  const killer = async (lock: string): Promise<void> => {
    const other = await logIn(await credentialsOf(settings, context), 'millrace kill');
    const wire = new Wire(other.stream);
    try {
      // The way there may lead to another server, or to one that counts connections otherwise: who holds the lock is the one.
      const [[thread] = []] = (await wire.query(`SELECT IS_USED_LOCK(${literal(lock)})`)).rows;
      if (thread != null) await wire.query(`KILL ${Number(thread)}`);
    } catch {
      // It has ended by itself.
    } finally {
      wire.destroy();
    }
  };
  const session = new Session({ wire: new Wire(stream), thread, secure, place, signal, killer });
  try {
    await session.prepare(options);
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
  return session;
}

function placeOf({ url }: SessionSettings, { address, user, password }: Credentials, options: SessionOptions): Place {
  const { host, port, database, login, tls, amazon } = address;
  return {
    label: typeof url === 'string' ? `${host}:${port}${database === '' ? '' : `/${database}`}` : describeSetting(url),
    user,
    database,
    ...(password !== undefined && { hidden: password }),
    ...(options.writer && { writer: true }),
    ...(login.by === 'iam' && { byToken: true }),
    ...(tls.amazon && amazon && { bundle: bundleOf(amazon as AmazonEndpoint) }),
  };
}

interface SessionParts {
  readonly wire: Wire;
  readonly thread: number;
  readonly secure: boolean;
  readonly place: Place;
  readonly signal: AbortSignal;
  /** Ends the connection that holds a lock of this name, from another one. */
  readonly killer: (lock: string) => Promise<void>;
}

/** One connection to a server. Statements that are asked for at once run one after another; the reading of rows is a statement. */
export class Session implements AsyncDisposable {
  readonly place: Place;
  readonly secure: boolean;
  /** As the server counts connections. */
  readonly thread: number;
  readonly #wire: Wire;
  readonly #signal: AbortSignal;
  readonly #killer: (lock: string) => Promise<void>;
  /** Held by this connection for as long as it lives; null where the server has no such locks. */
  #lock: string | null = null;
  readonly #onAbort: () => void;
  #server: Server = unknownServer;
  #turn: Promise<unknown> = Promise.resolve();
  #running = 0;
  #closed = false;

  constructor({ wire, thread, secure, place, signal, killer }: SessionParts) {
    this.#wire = wire;
    this.thread = thread;
    this.secure = secure;
    this.place = place;
    this.#signal = signal;
    this.#killer = killer;
    this.#onAbort = () => void this.kill();
    signal.addEventListener('abort', this.#onAbort, { once: true });
    if (signal.aborted) this.#onAbort();
  }

  get server(): Server {
    return this.#server;
  }

  /** True once the connection is gone, or going; the next statement then rejects. */
  get ended(): boolean {
    return this.#closed || this.#wire.ended;
  }

  async prepare({ writer, ownMode = false }: SessionOptions): Promise<void> {
    const [row] = await this.query(serverQuery);
    this.#server = serverOf(row);
    if (writer && this.#server.readOnly) throw readOnly(this.place);
    this.#lock = await this.#held(`mrs/${randomBytes(12).toString('hex')}`);
    for (const statement of settingStatements(this.#server, ownMode)) await this.execute(statement);
  }

  async #held(lock: string): Promise<string | null> {
    try {
      const [row] = await this.query(`SELECT GET_LOCK(${literal(lock)}, 0) AS got`);
      return row?.['got'] === '1' ? lock : null;
    } catch (error) {
      if (this.ended || !isMillraceError(error) || error.facts['errno'] === undefined) throw error;
      return null;
    }
  }

  /** `object` is what an error message names. */
  async query(text: string, object?: string): Promise<TextRow[]> {
    return (await this.execute(text, object)).rows;
  }

  execute(text: string, object?: string): Promise<Result> {
    return this.#inTurn(object, async () => {
      const { columns, rows, ...outcome } = await this.#wire.query(text);
      return { ...outcome, columns, rows: rows.map((row) => Object.fromEntries(columns.map(({ name }, at) => [name, row[at] ?? null]))) };
    });
  }

  /** `LOAD DATA LOCAL INFILE`: what `file` gives is the file. Where it breaks off, the connection ends and the server forgets what came. */
  load(text: string, file: AsyncIterable<Buffer>, object?: string): Promise<Outcome> {
    let broken: { readonly error: unknown } | undefined;
    async function* watched(): AsyncGenerator<Buffer> {
      try {
        yield* file;
      } catch (error) {
        broken = { error };
        throw error;
      }
    }
    return this.#inTurn(object, () =>
      this.#wire.load(text, watched()).catch((error: unknown) => {
        throw broken ? broken.error : error;
      }),
    );
  }

  /** The rows of a SELECT as they came. Whoever leaves before the end ends the session. */
  async *rows(text: string, object?: string, limits?: ScanLimits): AsyncGenerator<ScannedRows, void, undefined> {
    const release = await this.#takeTurn();
    let whole = false;
    try {
      yield* this.#wire.rows(text, limits);
      whole = true;
    } catch (error) {
      throw this.error(error, object);
    } finally {
      if (!whole) await this.kill();
      release();
    }
  }

  /** An error of this session in our words: the signal's reason where that is what ended it. */
  error(error: unknown, object?: string): unknown {
    if (this.#signal.aborted && !isMillraceError(error)) return aborted(this.#signal);
    return mysqlError(error, object === undefined ? this.place : { ...this.place, object });
  }

  /** The socket, for somebody who asks for the binary log on it. It still ends when the signal aborts. */
  handOver(): Duplex {
    return this.#wire.handOver();
  }

  /** Ends what runs at the server, and the connection. */
  async kill(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal.removeEventListener('abort', this.#onAbort);
    const runs = this.#running > 0 && !this.#wire.ended;
    this.#wire.destroy();
    const lock = this.#lock;
    if (!runs || lock === null) return;
    // The server notices that nobody listens when it has something to say, which may be in an hour.
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, killTimeoutMs);
    });
    await Promise.race([this.#killer(lock).catch(() => {}), patience]);
    clearTimeout(timer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal.removeEventListener('abort', this.#onAbort);
    await this.#wire.close();
  }

  async #inTurn<T>(object: string | undefined, work: () => Promise<T>): Promise<T> {
    const release = await this.#takeTurn();
    try {
      return await work();
    } catch (error) {
      throw this.error(error, object);
    } finally {
      release();
    }
  }

  async #takeTurn(): Promise<() => void> {
    const before = this.#turn;
    let release: () => void = () => {};
    this.#turn = new Promise<void>((resolve) => {
      release = resolve;
    });
    await before;
    if (this.#signal.aborted) {
      release();
      throw aborted(this.#signal);
    }
    this.#running++;
    return () => {
      this.#running--;
      release();
    };
  }
}

function aborted(signal: AbortSignal): MillraceError {
  if (isMillraceError(signal.reason)) return signal.reason as MillraceError;
  return new MillraceError('RUN_CANCELLED', {
    message: 'The statement was stopped because its run was.',
    remedy: 'Start the run again if it should go on.',
    cause: signal.reason,
  });
}
