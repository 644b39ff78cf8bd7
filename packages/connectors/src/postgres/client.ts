import { connect as openSocket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { type Context, describeSetting, isMillraceError, MillraceError, type Setting } from '@millrace/core/runtime';
import pg from 'pg';
import { bundleOf } from '../aws/authorities.ts';
import type { Address, SslSetting } from './address.ts';
import { type CopyIn, copyIn } from './copy-in.ts';
import { type CopyOut, copyOut } from './copy-out.ts';
import { type Credentials, credentialsOf, differ } from './credentials.ts';
import { literal } from './literal.ts';
import { type Place, pgError, readOnly } from './sqlstate.ts';
import { tlsOptions } from './tls-options.ts';

/** What a session needs to know: a connection's settings as its author wrote them. */
export interface SessionSettings {
  readonly url: Setting;
  readonly ssl?: SslSetting;
  /** The IP address to dial, whatever the host's name leads to now: that of a server which another session has come to. */
  readonly hostaddr?: string;
}

export interface SessionOptions {
  /** Shown in pg_stat_activity after `millrace`. */
  readonly purpose?: string;
  /** Settings beyond those of `sessionSettings`, or `none` for a server that is not quite Postgres. */
  readonly settings?: Readonly<Record<string, string>> | 'none';
  /** It will write: a standby is refused, since the name of the writer leads to the old one for a while after a failover. */
  readonly writer?: boolean;
  /** A walsender of the database: it takes replication commands too, and of SQL what needs no parameters. */
  readonly replication?: boolean;
}

export interface CopyOutOptions {
  /** What an error message names. */
  readonly object?: string;
  /** For each chunk: its bytes, and how many messages it held, which is one for a row (and one each for header and trailer). */
  readonly onBytes?: (bytes: number, messages: number) => void;
  /** The last word on an error, for the stream and for the count alike. */
  readonly translate?: (error: unknown) => unknown;
}

export type Value = string | number | bigint | boolean | null;
/** Every value as the text that Postgres prints. */
export type TextRow = Readonly<Record<string, string | null>>;

export interface Result<Row = TextRow> {
  readonly rows: Row[];
  /** Rows inserted, updated, deleted or selected, where the command says. */
  readonly affected: number | null;
  readonly command: string;
}

/**
 * What makes the text of a value the same on every server, and keeps the server from ending a session that waits for the
 * other end. Settings that a version does not know are left out.
 */
export const sessionSettings = {
  client_encoding: 'UTF8',
  standard_conforming_strings: 'on',
  TimeZone: 'UTC',
  DateStyle: 'ISO, YMD',
  IntervalStyle: 'iso_8601',
  bytea_output: 'hex',
  extra_float_digits: '1',
  lc_monetary: 'C',
  xmloption: 'content',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
  transaction_timeout: '0',
  synchronize_seqscans: 'off',
} as const;

/** Long enough for a serverless Aurora that has to wake up. */
const connectTimeoutMs = 20_000;
const cancelTimeoutMs = 2_000;

/**
 * Opens a session. It ends when it is disposed, or at once when the context's signal aborts: the running statement is
 * cancelled at the server, and what waits for it rejects with the signal's reason.
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
  try {
    return await logIn(settings, credentials, context, options);
  } catch (error) {
    if (!isMillraceError(error) || error.code !== 'AUTHENTICATION_FAILED') throw error;
    const again = await credentialsOf(settings, context, credentials);
    if (!differ(credentials, again)) throw error;
    return logIn(settings, again, context, options);
  }
}

async function logIn(
  settings: SessionSettings,
  credentials: Credentials,
  { signal }: Pick<Context, 'signal'>,
  options: SessionOptions,
): Promise<Session> {
  if (signal.aborted) throw aborted(signal);
  const { address, user, password } = credentials;
  const place: Place = {
    label: label(settings.url, address),
    host: address.host,
    user,
    database: address.database,
    ...(password !== undefined && { hidden: password }),
    ...(options.writer && { writer: true }),
    ...(address.login.by === 'iam' && { byToken: true }),
    ...(address.amazon && { endpoint: address.amazon.kind }),
    ...(address.tls.amazon && address.amazon && { bundle: bundleOf(address.amazon) }),
  };
  if (options.replication) checkReplicates(place);
  const { client, secure } = await connectTo(
    credentials,
    place,
    `millrace${options.purpose ? ` ${options.purpose}` : ''}`,
    options.replication,
  );
  const session = new Session(client, place, secure, signal);
  try {
    if (options.settings !== 'none') await session.prepare({ ...sessionSettings, ...options.settings });
    if (options.writer && session.standby) throw readOnly(place);
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
  return session;
}

/** @throws UNSUPPORTED */
function checkReplicates({ endpoint, label: name }: Place): void {
  if (endpoint === undefined || endpoint === 'instance' || endpoint === 'writer') return;
  const why =
    endpoint === 'proxy' ? 'RDS Proxy does not carry replication' : 'it leads to any of several instances, and a slot lives at one';
  throw new MillraceError('UNSUPPORTED', {
    message: `${name}: changes cannot be read through this endpoint: ${why}.`,
    remedy: 'Name the endpoint of the writer (of Aurora the cluster endpoint) in the URL of the connection that is captured.',
    facts: { connection: name, endpoint, reason: 'endpoint' },
  });
}

const label = (url: Setting, { host, port, database }: Address): string =>
  typeof url === 'string' ? `${host}:${port}/${database}` : describeSetting(url);

async function connectTo(
  { address, user, password = '' }: Credentials,
  place: Place,
  application: string,
  replication = false,
): Promise<{ client: pg.Client; secure: boolean }> {
  const { host, hostaddr, tls } = address;
  const ssl = await tlsOptions(address);
  const attempt = async (secure: boolean): Promise<pg.Client> => {
    const client = new pg.Client({
      host: hostaddr ?? host,
      port: address.port,
      user,
      database: address.database,
      password,
      application_name: application,
      ssl: secure && { ...ssl },
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      connectionTimeoutMillis: connectTimeoutMs,
      types: { getTypeParser: () => (text: string) => text },
      ...(replication && { replication: 'database' }),
    });
    // The driver also emits what it has already rejected a query with; an idle session learns of its end at the next query.
    client.on('error', () => {});
    try {
      await client.connect();
    } catch (error) {
      // The driver leaves some of these open, and the server would wait a minute for the rest of a log-in.
      (client as pg.Client & ClientInside).connection.stream.destroy();
      throw error;
    }
    return client;
  };
  const secure = tls.mode !== 'disable';
  try {
    return { client: await attempt(secure), secure };
  } catch (error) {
    if (tls.mode !== 'prefer' || !/does not support SSL/.test(String((error as Error).message))) throw pgError(error, place);
  }
  try {
    return { client: await attempt(false), secure: false };
  } catch (error) {
    throw pgError(error, place);
  }
}

/** One connection to a server. Statements that are asked for at once run one after another; a COPY is a statement. */
export class Session implements AsyncDisposable {
  readonly secure: boolean;
  readonly place: Place;
  readonly #client: pg.Client;
  readonly #signal: AbortSignal;
  readonly #onAbort: () => void;
  readonly #onNotice = new Set<(message: string, sqlstate: string) => void>();
  #turn: Promise<unknown> = Promise.resolve();
  #version = 0;
  #standby = false;
  #closed = false;
  #ended = false;

  constructor(client: pg.Client, place: Place, secure: boolean, signal: AbortSignal) {
    this.#client = client;
    this.place = place;
    this.secure = secure;
    this.#signal = signal;
    this.#onAbort = () => void this.kill();
    signal.addEventListener('abort', this.#onAbort, { once: true });
    client.on('notice', (notice) => {
      for (const listener of this.#onNotice) listener(notice.message ?? '', notice.code ?? '');
    });
    client.on('end', () => {
      this.#ended = true;
    });
    if (signal.aborted) this.#onAbort();
  }

  /** As Postgres counts: 150004 is 15.4. Zero where the session was opened without settings. */
  get version(): number {
    return this.#version;
  }

  /** In recovery when the session was opened: it can be read from and not written to. */
  get standby(): boolean {
    return this.#standby;
  }

  /** The server's IP address where the name of the host leads to any of several, else null. */
  get instance(): string | null {
    const { endpoint } = this.place;
    if (endpoint !== 'reader' && endpoint !== 'custom') return null;
    return (this.#client as pg.Client & ClientInside).connection.stream.remoteAddress ?? null;
  }

  /** Names for which the server's certificate is; none without TLS. */
  get certified(): readonly string[] {
    const { stream } = (this.#client as pg.Client & ClientInside).connection;
    const { subjectaltname = '' } = stream instanceof TLSSocket ? stream.getPeerCertificate() : {};
    return subjectaltname.split(', ').flatMap((name) => (name.startsWith('DNS:') ? [name.slice('DNS:'.length)] : []));
  }

  /** True once the connection is gone, or going; the next statement then rejects. */
  get ended(): boolean {
    return this.#ended || this.#closed;
  }

  async prepare(settings: Readonly<Record<string, string>>): Promise<void> {
    const values = literal(JSON.stringify(settings));
    const { rows } = await this.execute(
      `select current_setting('server_version_num') as version, pg_is_in_recovery() as standby, set_config(name, ${values}::json->>name, false) from pg_settings where name = any(${literal(Object.keys(settings))})`,
    );
    this.#version = Number(rows[0]?.['version'] ?? 0);
    this.#standby = rows[0]?.['standby'] === 't';
  }

  async query<Row extends TextRow = TextRow>(text: string, values: readonly Value[] = [], object?: string): Promise<Row[]> {
    return (await this.execute<Row>(text, values, object)).rows;
  }

  /** `object` is what an error message names. Several statements in one text answer with the last one's result. */
  execute<Row extends TextRow = TextRow>(text: string, values: readonly Value[] = [], object?: string): Promise<Result<Row>> {
    return this.#inTurn(async () => {
      try {
        const answer = await (values.length === 0 ? this.#client.query(text) : this.#client.query(text, [...values]));
        const last = (Array.isArray(answer) ? answer.at(-1) : answer) as pg.QueryResult;
        return { rows: last.rows as Row[], affected: last.rowCount, command: last.command };
      } catch (error) {
        throw this.error(error, object);
      }
    });
  }

  /**
   * A statement that comes again and again: parsed once by the server, under `name`. A Buffer goes as the binary form of its parameter's
   * type, a string as its text.
   */
  prepared<Row extends TextRow = TextRow>(
    { name, text }: { readonly name: string; readonly text: string },
    values: readonly (string | Buffer | null)[],
    object?: string,
  ): Promise<Result<Row>> {
    return this.#inTurn(async () => {
      try {
        const { rows, rowCount, command } = await this.#client.query({ name, text, values: [...values] });
        return { rows: rows as Row[], affected: rowCount, command };
      } catch (error) {
        throw this.error(error, object);
      }
    });
  }

  /** The columns of a query's answer: OIDs and modifiers of their types. */
  fields(text: string, object?: string): Promise<{ readonly name: string; readonly type: string; readonly modifier: number }[]> {
    return this.#inTurn(async () => {
      try {
        const { fields } = await this.#client.query(text);
        return fields.map(({ name, dataTypeID, dataTypeModifier }) => ({ name, type: String(dataTypeID), modifier: dataTypeModifier }));
      } catch (error) {
        throw this.error(error, object);
      }
    });
  }

  /** `COPY … TO STDOUT`: its bytes, and its count once the server has said that it is complete. */
  copyOut(text: string, options: CopyOutOptions = {}): CopyOut {
    const { object, onBytes = () => {}, translate = (error) => error } = options;
    return copyOut(this.#client, {
      text,
      onBytes,
      hold: (start) => this.#holdTurn(start),
      translate: (error) => translate(this.error(error, object)),
    });
  }

  /** `COPY … FROM STDIN`. Destroying the stream with an error makes the server forget what came. */
  copyIn(text: string, object?: string): CopyIn {
    return copyIn(
      this.#client,
      (start) => this.#holdTurn(start),
      text,
      (error) => this.error(error, object),
    );
  }

  /**
   * A query object of the driver, for what neither `execute` nor a COPY can do: `make` is called when its turn comes, and says by
   * `release` when the next one's does.
   */
  submit(make: (release: () => void) => object): void {
    this.#holdTurn((release) => void this.#client.query(make(release) as pg.Submittable));
  }

  onNotice(listener: (message: string, sqlstate: string) => void): Disposable {
    this.#onNotice.add(listener);
    return { [Symbol.dispose]: () => void this.#onNotice.delete(listener) };
  }

  /** An error of this session in our words: the signal's reason where that is what ended it. */
  error(error: unknown, object?: string): MillraceError {
    if (this.#signal.aborted && !isMillraceError(error)) return aborted(this.#signal);
    return pgError(error, object === undefined ? this.place : { ...this.place, object });
  }

  /** Cancels what runs at the server and cuts the connection. */
  async kill(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal.removeEventListener('abort', this.#onAbort);
    const { connection, processID, secretKey, host, port } = this.#client as pg.Client & ClientInside;
    if (!this.#ended && processID !== null && secretKey !== null) await cancelRequest(host, port, processID, secretKey);
    connection.stream.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal.removeEventListener('abort', this.#onAbort);
    await this.#client.end().catch(() => {});
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(() => {
      if (this.#signal.aborted) throw aborted(this.#signal);
      return work();
    });
    this.#turn = mine.catch(() => {});
    return mine;
  }

  /** For statements whose end is seen elsewhere: `start` gets its turn and says by `release` when the next one may come. */
  #holdTurn(start: (release: () => void) => void): void {
    void this.#inTurn(() => new Promise<void>((release) => start(release))).catch(() => start(() => {}));
  }
}

/** Parts of pg's client that its types leave out. */
interface ClientInside {
  readonly connection: { readonly stream: { readonly remoteAddress?: string; destroy(): void } };
  readonly processID: number | null;
  readonly secretKey: number | null;
  readonly host: string;
  readonly port: number;
}

function aborted(signal: AbortSignal): MillraceError {
  if (isMillraceError(signal.reason)) return signal.reason as MillraceError;
  return new MillraceError('RUN_CANCELLED', {
    message: 'The statement was stopped because its run was.',
    remedy: 'Start the run again if it should go on.',
    cause: signal.reason,
  });
}

/** The protocol's CancelRequest, on a connection of its own. Best effort: it answers nothing. */
function cancelRequest(host: string, port: number, process: number, secret: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = host.startsWith('/') ? openSocket(`${host}/.s.PGSQL.${port}`) : openSocket(port, host);
    const done = () => {
      socket.destroy();
      resolve();
    };
    const request = Buffer.alloc(16);
    request.writeInt32BE(16, 0);
    request.writeInt32BE(80_877_102, 4);
    request.writeInt32BE(process, 8);
    request.writeInt32BE(secret, 12);
    socket.setTimeout(cancelTimeoutMs, done);
    socket.once('error', done).once('close', done);
    socket.end(request);
  });
}
