import { corrupt, ServerRefusal } from './refusal.ts';

/*
 * Packets of the client/server protocol: three bytes of length, one that counts packets within a command, then the payload. A payload of
 * 2^24 - 1 bytes goes on in the next packet. Integers are little-endian; "length-encoded" ones take one to nine bytes.
 *
 * Source: https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html, https://mariadb.com/kb/en/clientserver-protocol/
 */
export const largestPayload = 0xff_ff_ff;
export const headerBytes = 4;

/** Takes bytes as they come and gives payloads. */
export class PacketReader {
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  /** Of the packet that `next` has answered last. */
  sequence = 0;
  /** The rest was taken: what comes now is somebody else's. */
  taken = false;

  add(chunk: Buffer): void {
    this.#bytes = this.#at === this.#bytes.length ? chunk : Buffer.concat([this.#bytes.subarray(this.#at), chunk]);
    this.#at = 0;
  }

  /** The next whole payload; null where more bytes are needed. */
  next(): Buffer | null {
    const pieces: Buffer[] = [];
    for (let at = this.#at; ; ) {
      if (this.#bytes.length - at < headerBytes) return null;
      const length = this.#bytes.readUIntLE(at, 3);
      const end = at + headerBytes + length;
      if (this.#bytes.length < end) return null;
      pieces.push(this.#bytes.subarray(at + headerBytes, end));
      this.sequence = this.#bytes[at + 3]!;
      at = end;
      if (length < largestPayload) {
        this.#at = at;
        return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
      }
    }
  }

  /** Everything that no packet was made of, which is the caller's from now on. */
  rest(): Buffer {
    const rest = this.#bytes.subarray(this.#at);
    this.#bytes = Buffer.alloc(0);
    this.#at = 0;
    this.taken = true;
    return rest;
  }
}

/** A payload as packets, the first of them numbered `sequence`. */
export function packetsOf(payload: Buffer, sequence: number): Buffer[] {
  const made: Buffer[] = [];
  let number = sequence;
  for (let at = 0; ; at += largestPayload) {
    const piece = payload.subarray(at, at + largestPayload);
    made.push(header(piece.length, number++), piece);
    if (piece.length < largestPayload) return made;
  }
}

export function header(length: number, sequence: number): Buffer {
  const bytes = Buffer.allocUnsafe(headerBytes);
  bytes.writeUIntLE(length, 0, 3);
  bytes[3] = sequence & 0xff;
  return bytes;
}

/** Reads fields of a payload one after another. */
export class Fields {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, at = 0) {
    this.#bytes = bytes;
    this.#at = at;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  fixed(width: number): number {
    const value = this.#bytes.readUIntLE(this.#at, width);
    this.#at += width;
    return value;
  }

  /** Null is a NULL of a row. Values beyond 2^53 lose digits: nothing that is read here has them. */
  length(): number | null {
    const first = this.fixed(1);
    switch (first) {
      case 0xfb:
        return null;
      case 0xfc:
        return this.fixed(2);
      case 0xfd:
        return this.fixed(3);
      case 0xfe: {
        const value = Number(this.#bytes.readBigUInt64LE(this.#at));
        this.#at += 8;
        return value;
      }
      default:
        return first;
    }
  }

  text(): string | null {
    const length = this.length();
    return length === null ? null : this.bytes(length).toString('utf8');
  }

  bytes(length: number): Buffer {
    if (length > this.left) throw corrupt('a value goes beyond its packet');
    const piece = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return piece;
  }

  rest(): Buffer {
    return this.bytes(this.left);
  }
}

export const isOk = (payload: Buffer): boolean => payload[0] === 0x00;
/** A row may begin with 0xfe too, but is longer then. */
export const isEnd = (payload: Buffer): boolean => payload[0] === 0xfe && payload.length < 9;
export const isRefusal = (payload: Buffer): boolean => payload[0] === 0xff;
export const isFileRequest = (payload: Buffer): boolean => payload[0] === 0xfb;

/** How a statement ended. */
export interface Outcome {
  readonly affected: number;
  readonly warnings: number;
  /** A transaction is open after it. */
  readonly inTransaction: boolean;
  /** `Records: 3  Duplicates: 0  Warnings: 0`, where a statement says such things. */
  readonly info: string;
  /** Another result of the same statement follows: a procedure's. */
  readonly more: boolean;
}

const statusInTransaction = 0x0001;
const statusMore = 0x0008;

export function readOk(payload: Buffer): Outcome {
  const fields = new Fields(payload, 1);
  const affected = fields.length() ?? 0;
  fields.length(); // the last id that was made up
  const status = fields.fixed(2);
  const warnings = fields.fixed(2);
  return { affected, warnings, info: fields.rest().toString('utf8'), ...flags(status) };
}

/** The end of columns, or of rows. */
export function readEnd(payload: Buffer): Outcome {
  const fields = new Fields(payload, 1);
  const warnings = fields.fixed(2);
  return { affected: 0, warnings, info: '', ...flags(fields.fixed(2)) };
}

const flags = (status: number): Pick<Outcome, 'inTransaction' | 'more'> => ({
  inTransaction: (status & statusInTransaction) !== 0,
  more: (status & statusMore) !== 0,
});

export function readRefusal(payload: Buffer): ServerRefusal {
  const fields = new Fields(payload, 1);
  const errno = fields.fixed(2);
  const marked = payload[3] === 0x23; // "#": the state follows
  const state = marked ? fields.bytes(6).toString('latin1').slice(1) : 'HY000';
  return new ServerRefusal(errno, state, fields.rest().toString('utf8'));
}

/** A column of an answer, as the server describes it. */
export interface AnswerColumn {
  readonly name: string;
  readonly charset: number;
  /** In bytes, of the widest value. */
  readonly width: number;
  /** `enum_field_types` of the protocol. */
  readonly type: number;
  readonly flags: number;
  readonly decimals: number;
}

/** The fixed part stands at the end: between it and the names MariaDB may have put more. */
export function readColumn(payload: Buffer): AnswerColumn {
  const fields = new Fields(payload);
  for (let name = 0; name < 4; name++) fields.text();
  const name = fields.text() ?? '';
  const fixed = new Fields(payload, payload.length - 12);
  return {
    name,
    charset: fixed.fixed(2),
    width: fixed.fixed(4),
    type: fixed.fixed(1),
    flags: fixed.fixed(2),
    decimals: fixed.fixed(1),
  };
}
