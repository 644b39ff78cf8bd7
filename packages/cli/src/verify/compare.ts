import { type DigestSpool, parts } from './digest-spool.ts';

/**
 * What makes two sides equal:
 * `current`  one row at the target for each row expected, and no other
 * `versions`  each row expected is among the rows of the target, which keeps earlier versions of it too (append)
 * `one of several`  one row at the target for each key, and it is one of those expected: several loads merge into one table
 */
export type Rule = 'current' | 'versions' | 'one of several';

export interface Comparison {
  /** Rows in both, to the letter. */
  readonly equal: number;
  readonly onlyExpected: number;
  readonly onlyStored: number;
  /** Keys that both have, with other values. */
  readonly changed: number;
  /** Rows of the target that are right to be there and have no counterpart: earlier versions, or changed at the source since. */
  readonly setAside: number;
  readonly checksums: { readonly expected: string; readonly stored: string };
  /** Hashes of the first differing keys, in hex. */
  readonly keys: readonly string[];
}

/**
 * Compares the rows that should be at a target with those that are. `later` holds the keys that have changed at the source after
 * the target's checkpoint: what the target has for them is neither right nor wrong.
 */
export function compare(
  sides: { expected: DigestSpool; stored: DigestSpool; later: DigestSpool | null },
  rule: Rule,
  wantedKeys: number,
): Comparison {
  const totals = { equal: 0, onlyExpected: 0, onlyStored: 0, changed: 0, setAside: 0 };
  const sums = { expected: new Sum(), stored: new Sum() };
  const keys: string[] = [];
  for (let part = 0; part < parts; part++) {
    const expected = sides.expected.part(part);
    const stored = sides.stored.part(part);
    const later = sides.later?.part(part) ?? new Uint32Array(0);
    for (const difference of comparePart(expected, stored, later, rule, totals, sums)) if (keys.length < wantedKeys) keys.push(difference);
  }
  return { ...totals, checksums: { expected: sums.expected.hex(), stored: sums.stored.hex() }, keys };
}

const words = 4;

/** Yields the keys that differ. */
function* comparePart(
  expected: Uint32Array,
  stored: Uint32Array,
  later: Uint32Array,
  rule: Rule,
  totals: { equal: number; onlyExpected: number; onlyStored: number; changed: number; setAside: number },
  sums: { expected: Sum; stored: Sum },
): Generator<string> {
  const byKey = new KeyIndex(expected);
  const laterKeys = new KeyIndex(later);
  const matched = new Uint8Array(expected.length / words);
  const extra: number[] = [];
  for (let at = 0; at < expected.length; at += words) sums.expected.add(expected, at);
  for (let at = 0; at < stored.length; at += words) {
    let found = byKey.first(stored, at);
    while (found >= 0 && (matched[found] === 1 || !sameRow(expected, found * words, stored, at))) found = byKey.next(found, stored, at);
    if (found < 0) {
      extra.push(at);
      continue;
    }
    matched[found] = 1;
    totals.equal++;
    sums.stored.add(stored, at);
  }
  /** Keys of expected rows that are not there: a stored row with such a key has other values. */
  const missing = new Map<string, number>();
  for (let row = 0; row < matched.length; row++) {
    if (matched[row] === 1) continue;
    const overwritten = rule === 'one of several' && hasMatch(byKey, matched, expected, row * words);
    if (overwritten || laterKeys.first(expected, row * words) >= 0) {
      // The latter was read before and after it changed: what is left of it is the later version.
      totals.setAside++;
      continue;
    }
    const key = keyText(expected, row * words);
    missing.set(key, (missing.get(key) ?? 0) + 1);
  }
  for (const at of extra) {
    const key = keyText(stored, at);
    const known = byKey.first(stored, at) >= 0;
    if (laterKeys.first(stored, at) >= 0 || (rule === 'versions' && known)) {
      totals.setAside++;
      continue;
    }
    sums.stored.add(stored, at);
    const left = missing.get(key) ?? 0;
    if (left > 0) {
      totals.changed++;
      if (left === 1) missing.delete(key);
      else missing.set(key, left - 1);
    } else totals.onlyStored++;
    yield key;
  }
  for (const [key, rows] of missing) {
    totals.onlyExpected += rows;
    yield key;
  }
}

/** True where a row with this key, from another load, is at the target. */
function hasMatch(byKey: KeyIndex, matched: Uint8Array, digests: Uint32Array, at: number): boolean {
  for (let row = byKey.first(digests, at); row >= 0; row = byKey.next(row, digests, at)) if (matched[row] === 1) return true;
  return false;
}

const sameRow = (a: Uint32Array, i: number, b: Uint32Array, j: number): boolean => a[i + 2] === b[j + 2] && a[i + 3] === b[j + 3];
const sameKey = (a: Uint32Array, i: number, b: Uint32Array, j: number): boolean => a[i] === b[j] && a[i + 1] === b[j + 1];

function keyText(digests: Uint32Array, at: number): string {
  return Buffer.from(digests.buffer, digests.byteOffset + at * 4, 8).toString('hex');
}

/** Finds digests by key: a hash table with chains, in flat arrays. */
class KeyIndex {
  readonly #digests: Uint32Array;
  readonly #heads: Int32Array;
  readonly #nexts: Int32Array;
  readonly #mask: number;

  constructor(digests: Uint32Array) {
    const rows = digests.length / words;
    const size = 2 ** Math.ceil(Math.log2(Math.max(2, rows)));
    this.#digests = digests;
    this.#mask = size - 1;
    this.#heads = new Int32Array(size).fill(-1);
    this.#nexts = new Int32Array(rows);
    // Backwards, so that a chain begins with its first row.
    for (let row = rows - 1; row >= 0; row--) {
      const slot = (digests[row * words + 1] as number) & this.#mask;
      this.#nexts[row] = this.#heads[slot] as number;
      this.#heads[slot] = row;
    }
  }

  /** The first row with the key of `other` at `at`, or -1. */
  first(other: Uint32Array, at: number): number {
    return this.#skip(this.#heads[(other[at + 1] as number) & this.#mask] as number, other, at);
  }

  next(row: number, other: Uint32Array, at: number): number {
    return this.#skip(this.#nexts[row] as number, other, at);
  }

  #skip(from: number, other: Uint32Array, at: number): number {
    let row = from;
    while (row >= 0 && !sameKey(this.#digests, row * words, other, at)) row = this.#nexts[row] as number;
    return row;
  }
}

/** The sum of row hashes modulo 2^64: the same in whatever order rows come. */
class Sum {
  #low = 0;
  #high = 0;

  add(digests: Uint32Array, at: number): void {
    this.#low += digests[at + 3] as number;
    const carry = this.#low >= two32 ? 1 : 0;
    if (carry) this.#low -= two32;
    this.#high = (this.#high + (digests[at + 2] as number) + carry) % two32;
  }

  hex(): string {
    return `${this.#high.toString(16).padStart(8, '0')}${this.#low.toString(16).padStart(8, '0')}`;
  }
}

const two32 = 2 ** 32;
