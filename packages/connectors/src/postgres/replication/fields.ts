import { MillraceError } from '@millrace/core/runtime';

/** A place in the bytes of one message, moved on by each read. Reading past the end is an error, never a value. */
export class Fields {
  bytes: Buffer = Buffer.alloc(0);
  at = 0;
  end = 0;

  over(bytes: Buffer, start: number, end: number): this {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
    return this;
  }

  uint8(): number {
    return this.bytes[this.#take(1)]!;
  }

  uint16(): number {
    return this.bytes.readUInt16BE(this.#take(2));
  }

  uint32(): number {
    return this.bytes.readUInt32BE(this.#take(4));
  }

  int32(): number {
    return this.bytes.readInt32BE(this.#take(4));
  }

  uint64(): bigint {
    return this.bytes.readBigUInt64BE(this.#take(8));
  }

  int64(): bigint {
    return this.bytes.readBigInt64BE(this.#take(8));
  }

  /** UTF-8 up to a NUL, which is taken as well. */
  text(): string {
    const start = this.at;
    const nul = this.bytes.indexOf(0, start);
    if (nul < 0 || nul >= this.end) throw cut(`a text without its end`);
    this.at = nul + 1;
    return this.bytes.toString('utf8', start, nul);
  }

  /** A slice, not a copy. */
  slice(length: number): Buffer {
    const start = this.#take(length);
    return this.bytes.subarray(start, start + length);
  }

  get left(): number {
    return this.end - this.at;
  }

  done(): void {
    if (this.at !== this.end) throw cut(`${this.end - this.at} bytes after its end`);
  }

  #take(length: number): number {
    const start = this.at;
    if (length < 0 || start + length > this.end) throw cut(`${this.end - start} bytes where ${length} are due`);
    this.at = start + length;
    return start;
  }
}

export const cut = (what: string): MillraceError =>
  new MillraceError('WIRE_CORRUPT', {
    message: `A message of the change stream does not follow its format: ${what}.`,
    remedy: 'The connection is opened anew and the message read again. If it stays, report it with the version of the server.',
  });
