import type { Scratch } from './scratch.ts';

/** A character of a set: its bytes as one number, most first, and its code point. */
export type WideCharacter = readonly [bytes: number, codePoint: number];

/** Characters of one to four bytes, of sets in which the first byte and those after it say how many there are: the East Asian ones. */
export class WideTable {
  /** Of one byte, and of two: the code point and 1, or 0 for none. */
  readonly #short = new Uint32Array(0x1_0000);
  readonly #long = new Map<number, number>();
  readonly #isGb18030: boolean;
  /** Of the character that was read last. */
  #length = 1;

  constructor(name: string, characters: Iterable<WideCharacter>) {
    this.#isGb18030 = name === 'gb18030';
    for (const [bytes, codePoint] of characters) {
      if (bytes < this.#short.length) this.#short[bytes] = codePoint + 1;
      else this.#long.set(bytes, codePoint);
    }
  }

  /** Writes text as UTF-8, and answers whether all of its bytes are characters. */
  write(from: Buffer, start: number, end: number, out: Scratch): boolean {
    let text = '';
    for (let at = start; at < end; at += this.#length) {
      const codePoint = this.#read(from, at, end);
      if (codePoint < 0) return false;
      text += String.fromCodePoint(codePoint);
    }
    out.utf8(text);
    return true;
  }

  /** As text, where each byte that is in no character is U+FFFD. */
  lenient(bytes: Buffer): string {
    let text = '';
    for (let at = 0; at < bytes.length; at += this.#length) {
      const codePoint = this.#read(bytes, at, bytes.length);
      text += codePoint < 0 ? '\ufffd' : String.fromCodePoint(codePoint);
    }
    return text;
  }

  /** The character at `at`, or -1 for none, where one byte is passed over. */
  #read(from: Buffer, at: number, end: number): number {
    const first = from[at]!;
    this.#length = 1;
    const single = this.#short[first]!;
    if (single !== 0 || at + 1 >= end) return single - 1;
    const double = this.#short[(first << 8) | from[at + 1]!]!;
    const length = first === 0x8f && !this.#isGb18030 ? 3 : 4;
    if (double !== 0) this.#length = 2;
    if (double !== 0 || at + length > end) return double - 1;
    const bytes = from.readUIntBE(at, length);
    const codePoint = this.#long.get(bytes) ?? (this.#isGb18030 ? beyond(bytes) : -1);
    if (codePoint >= 0) this.#length = length;
    return codePoint;
  }
}

/** GB 18030 counts the code points from U+10000 on through four bytes. -1 for none. */
function beyond(bytes: number): number {
  const [a, b, c, d] = [bytes >>> 24, (bytes >>> 16) & 255, (bytes >>> 8) & 255, bytes & 255];
  if (a < 0x90 || b < 0x30 || b > 0x39 || c < 0x81 || c > 0xfe || d < 0x30 || d > 0x39) return -1;
  const codePoint = 0x1_0000 + ((a - 0x90) * 10 + (b - 0x30)) * 1260 + (c - 0x81) * 10 + (d - 0x30);
  return codePoint <= 0x10_ffff ? codePoint : -1;
}
