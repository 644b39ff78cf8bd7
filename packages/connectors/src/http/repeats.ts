import { createHash } from 'node:crypto';

/** About so many keys are remembered at once, twice over; some tens of megabytes. */
const generationKeys = 200_000;
/** Longer keys are remembered by their hash. */
const longestKey = 44;

/**
 * Keys of rows that have been read, so that a row which a moving listing shows twice is read once. Remembers at least the last 200,000: pages move
 * by a few rows, not by a table.
 */
export class Repeats {
  readonly #generation: number;
  #young = new Set<string>();
  #old = new Set<string>();

  constructor(generation = generationKeys) {
    this.#generation = generation;
  }

  /** True where the key was there already. One with a NULL in it is no key. */
  seen(key: readonly unknown[]): boolean {
    if (key.includes(null)) return false;
    const text = key.length === 1 ? String(key[0]) : JSON.stringify(key.map(String));
    const short = text.length <= longestKey ? text : createHash('sha256').update(text).digest('base64').slice(0, 32);
    if (this.#young.has(short) || this.#old.has(short)) return true;
    this.#young.add(short);
    if (this.#young.size >= this.#generation) {
      this.#old = this.#young;
      this.#young = new Set();
    }
    return false;
  }
}
