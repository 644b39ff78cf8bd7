import type { Scratch } from './scratch.ts';

/** A character of a set: its bytes as one number, most first, and its code point. */
export type WideCharacter = readonly [bytes: number, codePoint: number];

/** Characters of one to four bytes, of sets in which the first byte and those after it say how many there are: the East Asian ones. */
export class WideTable {
  /** Of one byte, and of two: the code point and 1, or 0 for none. */
  readonly #short = new Uint32Array(0x1_0000);
  readonly #long = new Map<number, number>();
  readonly #isGb18030: boolean;

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
    for (let at = start; at < end; ) {
      const first = from[at++]!;
      let found = this.#short[first]!;
      if (found === 0 && at < end) {
        found = this.#short[(first << 8) | from[at]!]!;
        if (found !== 0) at++;
      }
      if (found === 0) {
        const length = first === 0x8f ? 3 : 4;
        if (at - 1 + length > end) return false;
        const bytes = from.readUIntBE(at - 1, length);
        const codePoint = this.#long.get(bytes) ?? (this.#isGb18030 ? beyond(bytes) : undefined);
        if (codePoint === undefined) return false;
        found = codePoint + 1;
        at += length - 1;
      }
      text += String.fromCodePoint(found - 1);
    }
    out.utf8(text);
    return true;
  }
}

/** GB 18030 counts the code points from U+10000 on through four bytes. */
function beyond(bytes: number): number | undefined {
  const [a, b, c, d] = [bytes >>> 24, (bytes >>> 16) & 255, (bytes >>> 8) & 255, bytes & 255];
  if (a < 0x90 || b < 0x30 || b > 0x39 || c < 0x81 || c > 0xfe || d < 0x30 || d > 0x39) return undefined;
  const codePoint = 0x1_0000 + ((a - 0x90) * 10 + (b - 0x30)) * 1260 + (c - 0x81) * 10 + (d - 0x30);
  return codePoint <= 0x10_ffff ? codePoint : undefined;
}
