import { MillraceError } from '@millrace/core/runtime';

/*
 * What travels over the pipes of the Java process. A frame is its payload's length (u32, little-endian as all numbers are), the number
 * of its session (u32), its type (u8), three bytes of nothing, and the payload. A session is one connection to a database; it answers
 * one order after another, each with `done` or `error`.
 *
 * | to Java       | payload                                             | answered with                                            |
 * |---------------|-----------------------------------------------------|----------------------------------------------------------|
 * | `connect`     | jars, class, URL, properties, first statements      | `done`: product, driver, quote, user, limits of names     |
 * | `query`       | SQL, parameters                                     | `done`: rows affected or rows, as text                    |
 * | `columns`     | SQL                                                 | `done`: the columns that it answers with                  |
 * | `table`       | parts of a name                                     | `done`: what it is, columns, key, rows by the statistics  |
 * | `tables`      |                                                     | `done`: schema, name and kind of each                     |
 * | `read`        | credit, SQL, fetch size, parameters, columns        | `batch` for each credit, then `done`: rows                |
 * | `credit`      | batches that there is room for                      |                                                          |
 * | `write`       | INSERT, whether rows may be refused, columns        | `done`                                                    |
 * | `batch`       | rows, in the layout of `RowsOut.java`               | `taken`: rows that were refused                           |
 * | `writeEnd`    |                                                     | `done`                                                    |
 * | `transaction` | 0 autocommit, 1 none, 2 commit, 3 rollback           | `done`                                                    |
 * | `cancel`      | the order's number in its session                   | the order's own answer, or the end of the connection      |
 * | `close`       |                                                     | `closed`                                                  |
 * | `kill`        |                                                     | `closed`, unless the driver hangs                         |
 * | `shutdown`    |                                                     | the end of the process                                    |
 *
 * `credit`, `cancel` and `kill` take effect at once, beside the order at work. Nothing secret stands on the command line: URL, user
 * and password come with `connect`.
 */
export const orders = {
  connect: 1,
  query: 2,
  table: 3,
  tables: 4,
  read: 5,
  credit: 6,
  write: 7,
  writeEnd: 8,
  transaction: 9,
  cancel: 10,
  close: 11,
  kill: 12,
  shutdown: 13,
  columns: 14,
  batch: 64,
} as const;

export type Order = keyof typeof orders;

export const answers = { 32: 'done', 33: 'error', 34: 'taken', 35: 'closed', 64: 'batch' } as const;

export type Answer = (typeof answers)[keyof typeof answers];

/** How Java asks for the values of a column, or binds them. `Column.java` has the same numbers. */
export const kinds = {
  int: 1,
  long: 2,
  double: 3,
  float: 4,
  bool: 5,
  text: 6,
  decimal: 7,
  date: 8,
  time: 9,
  timetz: 10,
  stamp: 11,
  stamptz: 12,
  bytes: 13,
  uuid: 14,
  /** Bytes as `\x…`. */
  hex: 15,
  /** An integer of a database whose columns may hold anything: what is none is refused. */
  whole: 16,
  /** Times that the database prints better than its driver understands them. */
  printedStamp: 17,
  printedStamptz: 18,
  printedDate: 19,
  printedTime: 20,
  /** A number of a database whose columns may hold anything. */
  real: 21,
  /** Only to be written: a type of the database's own, from its text. */
  other: 32,
} as const;

export type Kind = keyof typeof kinds;

export interface ReadColumn {
  readonly name: string;
  readonly kind: Kind;
  /** Of a decimal its scale (-1: as it comes), of a time the most decimals of its seconds, of a char its length; else 0. */
  readonly digits: number;
}

export interface WriteColumn {
  readonly name: string;
  readonly kind: Kind;
  /** Of `java.sql.Types`, for NULL. */
  readonly sqlType: number;
}

export interface Parameter {
  readonly kind: Kind;
  readonly value: string | null;
}

const headerBytes = 12;
/** An array of Java's. */
const mostBytes = 2 ** 31;

/** A payload being written; `frame` puts the header before it. */
export class Writer {
  #parts: Buffer[] = [];

  int32(value: number): this {
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeInt32LE(value);
    this.#parts.push(bytes);
    return this;
  }

  bool(value: boolean): this {
    return this.int32(value ? 1 : 0);
  }

  text(value: string | null): this {
    if (value === null) return this.int32(-1);
    const bytes = Buffer.from(value);
    this.int32(bytes.length);
    this.#parts.push(bytes);
    return this;
  }

  texts(values: readonly string[]): this {
    this.int32(values.length);
    for (const value of values) this.text(value);
    return this;
  }

  parameters(values: readonly Parameter[]): this {
    this.int32(values.length);
    for (const { kind, value } of values) this.int32(kinds[kind]).text(value);
    return this;
  }

  take(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

export function header(session: number, order: Order, length: number): Buffer {
  const bytes = Buffer.alloc(headerBytes);
  bytes.writeUInt32LE(length, 0);
  bytes.writeUInt32LE(session, 4);
  bytes.writeUInt8(orders[order], 8);
  return bytes;
}

/** Reads a payload. */
export class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  int32(): number {
    const value = this.#bytes.readInt32LE(this.#at);
    this.#at += 4;
    return value;
  }

  bool(): boolean {
    return this.int32() !== 0;
  }

  text(): string | null {
    const length = this.int32();
    if (length < 0) return null;
    const text = this.#bytes.toString('utf8', this.#at, this.#at + length);
    this.#at += length;
    return text;
  }

  string(): string {
    return this.text() ?? '';
  }
}

export interface AnswerFrame {
  readonly session: number;
  readonly answer: Answer;
  /** Memory of its own, from a multiple of eight on. */
  readonly payload: Buffer;
}

/** Finds frames in chunks of bytes. Each payload is copied once, from the chunks into memory of its own. */
export class FrameReader {
  readonly #onFrame: (frame: AnswerFrame) => void;
  readonly #header = Buffer.alloc(headerBytes);
  #headerFilled = 0;
  #payload: Buffer | null = null;
  #filled = 0;

  constructor(onFrame: (frame: AnswerFrame) => void) {
    this.#onFrame = onFrame;
  }

  /** @throws WIRE_CORRUPT */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (!this.#payload) {
        const taken = Math.min(headerBytes - this.#headerFilled, chunk.length - at);
        chunk.copy(this.#header, this.#headerFilled, at, at + taken);
        this.#headerFilled += taken;
        at += taken;
        if (this.#headerFilled < headerBytes) return;
        this.#checkHeader();
        this.#payload = Buffer.allocUnsafeSlow(this.#header.readUInt32LE(0));
        this.#filled = 0;
      } else {
        const taken = Math.min(this.#payload.length - this.#filled, chunk.length - at);
        chunk.copy(this.#payload, this.#filled, at, at + taken);
        this.#filled += taken;
        at += taken;
      }
      if (this.#filled === this.#payload.length) this.#end(this.#payload);
    }
  }

  /** Before its payload is waited for: what is no header may speak of gigabytes that never come. */
  #checkHeader(): void {
    const type = this.#header.readUInt8(8);
    if (!(type in answers) || this.#header.readUIntBE(9, 3) !== 0 || this.#header.readUInt32LE(0) > mostBytes) throw unknownFrame(type);
  }

  #end(payload: Buffer): void {
    const answer = answers[this.#header.readUInt8(8) as keyof typeof answers];
    const session = this.#header.readUInt32LE(4);
    this.#payload = null;
    this.#headerFilled = 0;
    this.#onFrame({ session, answer, payload });
  }
}

const unknownFrame = (type: number): MillraceError =>
  new MillraceError('WIRE_CORRUPT', {
    message: `The Java process sent what is no frame (type ${type}).`,
    remedy: 'Look for a driver that writes to the file descriptor 1 by native code; it is tried again.',
  });
