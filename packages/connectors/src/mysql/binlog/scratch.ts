/** Where the text of a row's values is put together. It is used again for the next row, so what lies in it holds until then. */
export class Scratch {
  bytes: Buffer = Buffer.allocUnsafeSlow(16 * 1024);
  size = 0;
  /** Set by a reader whose value is to be NULL. */
  isNull = false;

  /** Makes room for `length` bytes and answers where they go. */
  room(length: number): number {
    const at = this.size;
    this.size = at + length;
    if (this.size > this.bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.size, this.bytes.length * 2));
      this.bytes.copy(larger, 0, 0, at);
      this.bytes = larger;
    }
    return at;
  }

  copy(from: Buffer, start: number, end: number): void {
    const at = this.room(end - start);
    from.copy(this.bytes, at, start, end);
  }

  ascii(text: string): void {
    const at = this.room(text.length);
    const { bytes } = this;
    for (let place = 0; place < text.length; place++) bytes[at + place] = text.charCodeAt(place);
  }

  utf8(text: string): void {
    const at = this.room(text.length * 3);
    this.size = at + this.bytes.write(text, at, 'utf8');
  }

  byte(value: number): void {
    const at = this.room(1);
    this.bytes[at] = value;
  }

  /** A whole number that is exact as a double. */
  int(value: number): void {
    let left = value;
    if (left < 0) {
      this.byte(minus);
      left = -left;
    }
    let length = 1;
    for (let power = 10; power <= left; power *= 10) length++;
    this.digits(left, length);
  }

  /** Exactly `length` digits, with zeros before. */
  digits(value: number, length: number): void {
    const at = this.room(length);
    const { bytes } = this;
    let left = value;
    for (let place = at + length - 1; place >= at; place--) {
      const rest = Math.floor(left / 10);
      bytes[place] = zero + (left - rest * 10);
      left = rest;
    }
  }
}

export const zero = 48;
export const minus = 45;

/** Reads the value at `at`, writes it as Postgres prints it, and answers where the next one begins. */
export type ReadValue = (from: Buffer, at: number, out: Scratch) => number;
/** Answers where the value after the one at `at` begins. */
export type SkipValue = (from: Buffer, at: number) => number;
