import { type ColumnBatch, type ColumnType, type Context, isMillraceError, MillraceError, type RowSchema } from '@millrace/core/runtime';
import { batchReader } from './batch.ts';
import { type JavaError, jdbcError, type Place } from './failure.ts';
import type { FrameListener, JavaProcess } from './process.ts';
import { type AnswerFrame, kinds, type Order, type Parameter, type ReadColumn, Reader, type WriteColumn, Writer } from './protocol.ts';

/** Batches of up to 2 MiB that are on their way at once, for each read: enough that neither end waits for the other. */
const readCredit = 4;
const writeCredit = 2;
/** How long a log-in may take: a server that takes a connection and says nothing is none. */
const connectMs = 60_000;
/** How long a statement may take to end that nobody waits for any more: Java cuts its connection after two seconds. */
const leaveMs = 10_000;
/** How long a session may take to end; then the process ends it, with all others in it. */
const closeMs = 8_000;

export interface ConnectRequest {
  readonly jars: readonly string[];
  readonly driverClass: string | null;
  readonly url: string;
  readonly properties: Readonly<Record<string, string>>;
  /** Statements that every connection begins with. */
  readonly first: readonly string[];
}

export interface Product {
  readonly name: string;
  readonly version: string;
  readonly driver: string;
  readonly driverVersion: string;
  /** Around names; '' where the database knows none. */
  readonly quote: string;
  readonly user: string;
  /** The first part of a name is a database, as MySQL has it. */
  readonly schemaIsCatalog: boolean;
  /** Characters; 0 where it is not known. */
  readonly longestColumn: number;
  readonly longestTable: number;
  /** What becomes of names without quotes. */
  readonly folds: 'upper' | 'lower' | 'not';
}

/** A column as the metadata of an answer has it. */
export interface AnswerColumn {
  readonly name: string;
  /** Of `java.sql.Types`, or the vendor's own. */
  readonly sqlType: number;
  readonly typeName: string;
  readonly precision: number;
  readonly scale: number;
  readonly displaySize: number;
  readonly signed: boolean;
  readonly nullable: 'no' | 'yes' | 'unknown';
  readonly autoIncrement: boolean;
}

export interface FoundTable {
  readonly catalog: string | null;
  readonly schema: string | null;
  readonly name: string;
  /** `TABLE`, `VIEW` and so on. */
  readonly kind: string;
  /** As SQL names it. */
  readonly quoted: string;
  readonly columns: readonly AnswerColumn[];
  readonly primaryKey: readonly string[];
  /** By the statistics; null where there are none. */
  readonly rows: number | null;
}

export interface QueryAnswer {
  /** Null where rows came. */
  readonly affected: number | null;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | null)[])[];
}

export interface ReadRequest {
  readonly sql: string;
  readonly parameters: readonly Parameter[];
  readonly fetchSize: number;
  readonly columns: readonly ReadColumn[];
  /** The types in which the values come. */
  readonly types: readonly ColumnType[];
  readonly schema: RowSchema;
}

export interface Refused {
  /** Place in the batch. */
  readonly row: number;
  readonly error: MillraceError;
}

interface Waiting {
  readonly order: Order;
  readonly resolve: (payload: Reader) => void;
  readonly reject: (error: unknown) => void;
}

/** One connection to a database. Orders that are given at once are carried out one after another. */
export class JdbcSession implements AsyncDisposable, FrameListener {
  readonly #process: JavaProcess;
  readonly #number: number;
  readonly #signal: AbortSignal;
  readonly #waiting: Waiting[] = [];
  readonly #onAbort: () => void;
  readonly #closed: Promise<void>;
  #tellClosed: () => void = () => {};
  #place: Place;
  /** Orders that were answered: the number of the one at work. */
  #answered = 0;
  #ended: unknown = null;
  #closing = false;
  #onBatch: ((payload: Buffer) => void) | null = null;
  #product!: Product;

  private constructor(process: JavaProcess, place: Place, signal: AbortSignal) {
    this.#process = process;
    this.#place = place;
    this.#signal = signal;
    this.#closed = new Promise((resolve) => {
      this.#tellClosed = resolve;
    });
    this.#onAbort = () => void this.kill(aborted(signal));
    this.#number = process.attach(this, place.hidden);
  }

  /** @throws AUTHENTICATION_FAILED, CONFIG_INVALID, CONNECTION_FAILED and the like */
  static async open(
    process: JavaProcess,
    request: ConnectRequest,
    place: Place,
    { signal }: Pick<Context, 'signal'>,
    patienceMs = connectMs,
  ): Promise<JdbcSession> {
    if (signal.aborted) throw aborted(signal);
    const session = new JdbcSession(process, place, signal);
    signal.addEventListener('abort', session.#onAbort, { once: true });
    const late = setTimeout(() => void session.kill(silent(place, patienceMs)), patienceMs);
    try {
      const { jars, driverClass, url, properties, first } = request;
      const writer = new Writer().texts(jars).text(driverClass).text(url).texts(Object.entries(properties).flat()).texts(first);
      const about = await session.#ask('connect', writer.take());
      session.#product = {
        name: about.string(),
        version: about.string(),
        driver: about.string(),
        driverVersion: about.string(),
        quote: about.string().trim(),
        user: about.string(),
        schemaIsCatalog: about.bool(),
        longestColumn: about.int32(),
        longestTable: about.int32(),
        folds: (['not', 'upper', 'lower'] as const)[about.int32()] ?? 'not',
      };
      session.#place = { ...place, product: session.#product.name };
      return session;
    } catch (error) {
      await session.kill(error);
      throw error;
    } finally {
      clearTimeout(late);
    }
  }

  get product(): Product {
    return this.#product;
  }

  /** True once the connection is gone, or going. */
  get ended(): boolean {
    return this.#ended !== null || this.#closing;
  }

  /** One statement, its answer as text. `object` is what an error message names. */
  async query(sql: string, parameters: readonly Parameter[] = [], object?: string): Promise<QueryAnswer> {
    const answer = await this.#ask('query', new Writer().text(sql).parameters(parameters).take(), object);
    const affected = answer.int32();
    const count = answer.int32();
    const columns = Array.from({ length: count }, () => answer.string());
    const rows: (string | null)[][] = [];
    while (answer.int32() === 1) rows.push(Array.from({ length: count }, () => answer.text()));
    return { affected: affected < 0 ? null : affected, columns, rows };
  }

  async columns(sql: string, object?: string): Promise<AnswerColumn[]> {
    return columnsOf(await this.#ask('columns', new Writer().text(sql).take(), object));
  }

  /** Null where there is none of this name. */
  async table(parts: readonly string[]): Promise<FoundTable | null> {
    const answer = await this.#ask('table', new Writer().texts(parts).take(), parts.join('.'));
    if (!answer.bool()) return null;
    const [catalog, schema] = [answer.text(), answer.text()];
    const [name, kind, quoted] = [answer.string(), answer.string(), answer.string()];
    const columns = columnsOf(answer);
    const primaryKey = Array.from({ length: answer.int32() }, () => answer.string());
    const rows = Number(answer.string());
    return { catalog, schema, name, kind, quoted, columns, primaryKey, rows: rows < 0 ? null : rows };
  }

  async tables(): Promise<{ readonly schema: string | null; readonly name: string; readonly kind: string }[]> {
    const answer = await this.#ask('tables', Buffer.alloc(0));
    const found: { schema: string | null; name: string; kind: string }[] = [];
    while (answer.int32() === 1) found.push({ schema: answer.text(), name: answer.string(), kind: answer.string() });
    return found;
  }

  async transaction(what: 'autocommit' | 'begin' | 'commit' | 'rollback'): Promise<void> {
    const number = { autocommit: 0, begin: 1, commit: 2, rollback: 3 }[what];
    await this.#ask('transaction', new Writer().int32(number).take());
  }

  /** Runs `work` in one transaction. Where it cannot be rolled back the connection goes: to JDBC, `autocommit` would be a commit. */
  async inTransaction<T>(work: () => Promise<T>): Promise<T> {
    await this.transaction('begin');
    let result: T;
    try {
      result = await work();
      await this.transaction('commit');
    } catch (error) {
      try {
        await this.transaction('rollback');
        await this.transaction('autocommit');
      } catch {
        await this.kill(error);
      }
      throw error;
    }
    await this.transaction('autocommit').catch((error: unknown) => this.kill(error));
    return result;
  }

  /** Rows of a query, as they come; leaving early cancels the statement. Counted against what Java says that it has sent. */
  async *read(request: ReadRequest, object?: string): AsyncGenerator<ColumnBatch, void, undefined> {
    const { sql, parameters, fetchSize, columns, types, schema } = request;
    const toBatch = batchReader(schema, types);
    const queue: Buffer[] = [];
    let wake: () => void = () => {};
    const writer = new Writer().int32(readCredit).text(sql).int32(fetchSize).parameters(parameters).int32(columns.length);
    for (const { kind, digits } of columns) writer.int32(kinds[kind]).int32(digits);
    for (const { name } of columns) writer.text(name);
    let over: { readonly rows: number } | { readonly error: unknown } | undefined;
    const number = this.#answered + this.#waiting.length;
    const done = this.#ask('read', writer.take(), object).then(
      (answer) => ({ rows: Number(answer.string()) }),
      (error: unknown) => ({ error }),
    );
    void done.then((how) => {
      over = how;
      wake();
    });
    this.#onBatch = (payload) => {
      queue.push(payload);
      wake();
    };
    let rows = 0;
    try {
      for (;;) {
        const payload = queue.shift();
        if (payload) {
          this.#process.send(this.#number, 'credit', new Writer().int32(1).take());
          const batch = toBatch(payload);
          rows += batch.rowCount;
          yield batch;
        } else if (over) {
          if ('error' in over) throw over.error;
          if (over.rows !== rows) throw miscounted(over.rows, rows);
          return;
        } else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
    } finally {
      this.#onBatch = null;
      if (!over) {
        this.#process.send(this.#number, 'cancel', new Writer().int32(number).take());
        const late = setTimeout(() => void this.#process.kill(), leaveMs);
        await done;
        clearTimeout(late);
      }
    }
  }

  /** Rows into an INSERT, batch after batch, on a connection that does nothing else meanwhile. */
  async write(sql: string, columns: readonly WriteColumn[], rejects: boolean, object?: string): Promise<Insert> {
    const writer = new Writer().text(sql).bool(rejects).int32(columns.length);
    for (const { kind, sqlType, name } of columns) writer.int32(kinds[kind]).int32(sqlType).text(name);
    await this.#ask('write', writer.take(), object);
    const taken: Promise<readonly Refused[]>[] = [];
    return {
      add: async (frame) => {
        taken.push(this.#ask('batch', frame, object).then((answer) => this.#refused(answer, object)));
        taken.at(-1)?.catch(() => {});
        return taken.length > writeCredit ? ((await taken.shift()) ?? []) : null;
      },
      next: async () => (await taken.shift()) ?? null,
      end: async () => void (await this.#ask('writeEnd', Buffer.alloc(0))),
    };
  }

  #refused(answer: Reader, object?: string): Refused[] {
    const refused: Refused[] = [];
    while (answer.int32() === 1) {
      const row = answer.int32();
      const said = {
        kind: 'sql',
        sqlstate: answer.text(),
        vendor: answer.int32(),
        message: answer.string(),
        column: answer.text(),
        row: null,
      };
      refused.push({ row, error: this.#error(said.sqlstate === null ? { ...said, kind: 'value' } : said, object) });
    }
    return refused;
  }

  frame({ answer, payload }: AnswerFrame): void {
    if (answer === 'batch') return this.#onBatch?.(payload);
    if (answer === 'closed') {
      this.#end(this.#ended ?? this.#lost());
      this.#tellClosed();
      return;
    }
    const waiting = this.#waiting.shift();
    this.#answered++;
    if (!waiting) return;
    if (answer !== 'error') return waiting.resolve(new Reader(payload));
    const said = new Reader(payload);
    const [kind, sqlstate] = [said.string(), said.text()];
    const [vendor, message, column, row] = [said.int32(), said.string(), said.text(), Number(said.string())];
    const error: JavaError = { kind, sqlstate, vendor, message, column, row: row < 0 ? null : row };
    waiting.reject(error);
    // Java passes over what was sent before it could say so.
    while (waiting.order === 'batch' && this.#waiting[0]?.order === 'batch') {
      this.#answered++;
      this.#waiting.shift()?.reject(error);
    }
  }

  /** The process has ended. */
  gone(reason: MillraceError): void {
    this.#end(this.#signal.aborted ? aborted(this.#signal) : reason);
    this.#tellClosed();
  }

  /** Cancels what runs, and lets go of the connection; what waits is told `reason`. */
  async kill(reason?: unknown): Promise<void> {
    if (this.#closing) return this.#closed;
    this.#closing = true;
    this.#signal.removeEventListener('abort', this.#onAbort);
    if (this.#waiting.length > 0) this.#process.send(this.#number, 'cancel', new Writer().int32(this.#answered).take());
    this.#end(reason ?? this.#lost());
    this.#process.send(this.#number, 'close');
    await this.#untilClosed();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing) return this.#closed;
    this.#closing = true;
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#process.send(this.#number, 'close');
    await this.#untilClosed();
  }

  async #untilClosed(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), closeMs);
    });
    const how = this.#process.alive ? await Promise.race([this.#closed, late]) : undefined;
    clearTimeout(timer);
    if (how === 'late') await this.#process.kill();
    this.#process.detach(this.#number);
    this.#tellClosed();
  }

  async #ask(order: Order, payload: Buffer, object?: string): Promise<Reader> {
    if (this.#ended) throw this.#ended;
    if (this.#closing) throw this.#lost();
    const answer = new Promise<Reader>((resolve, reject) => this.#waiting.push({ order, resolve, reject }));
    this.#process.send(this.#number, order, payload);
    try {
      return await answer;
    } catch (error) {
      throw isMillraceError(error) || !isJavaError(error) ? error : this.#error(error, object);
    }
  }

  /** An error of this session in our words: the signal's reason where that is what ended it. */
  #error(error: JavaError, object?: string): MillraceError {
    if (this.#signal.aborted) return aborted(this.#signal);
    return jdbcError(error, object === undefined ? this.#place : { ...this.#place, object });
  }

  #end(reason: unknown): void {
    this.#ended ??= reason;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended);
  }

  #lost(): MillraceError {
    return new MillraceError('CONNECTION_FAILED', {
      message: `${this.#place.label}: the connection was closed.`,
      remedy: 'Nothing to do: it is tried again with backoff. If it stays, look at the server and the way to it.',
      facts: { connection: this.#place.label },
    });
  }
}

export interface Insert {
  /**
   * Sends a frame of `batchWriter`. Answers what was refused of an earlier one, once more are on their way than there is room for; null
   * where none has been waited for.
   */
  add(frame: Buffer): Promise<readonly Refused[] | null>;
  /** What was refused of the oldest frame that is still on its way; null where all have been answered. */
  next(): Promise<readonly Refused[] | null>;
  end(): Promise<void>;
}

const isJavaError = (error: unknown): error is JavaError => typeof error === 'object' && error !== null && 'vendor' in error;

function columnsOf(answer: Reader): AnswerColumn[] {
  return Array.from({ length: answer.int32() }, () => ({
    name: answer.string(),
    sqlType: answer.int32(),
    typeName: answer.string(),
    precision: answer.int32(),
    scale: answer.int32(),
    displaySize: answer.int32(),
    signed: answer.bool(),
    nullable: (['no', 'yes', 'unknown'] as const)[answer.int32()] ?? 'unknown',
    autoIncrement: answer.bool(),
  }));
}

const miscounted = (sent: number, received: number): MillraceError =>
  new MillraceError('WIRE_CORRUPT', {
    message: `The Java process says that it sent ${sent} rows, and ${received} have come.`,
    remedy: 'The split is read again. If it happens each time, please report it.',
    facts: { sent, received },
  });

const silent = ({ label }: Place, ms: number): MillraceError =>
  new MillraceError('CONNECTION_FAILED', {
    message: `${label}: no log-in within ${ms / 1000} s.`,
    remedy: 'Check host and port of the URL, and that what listens there is the database. It is tried again with backoff.',
    facts: { connection: label },
  });

export function aborted(signal: AbortSignal): MillraceError {
  if (isMillraceError(signal.reason)) return signal.reason as MillraceError;
  return new MillraceError('RUN_CANCELLED', {
    message: 'The statement was stopped because its run was.',
    remedy: 'Start the run again if it should go on.',
    cause: signal.reason,
  });
}
