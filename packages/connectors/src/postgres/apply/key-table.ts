import type { KeyBytes, KeyWriter } from './key-bytes.ts';

/** Numbers the keys that come by, from 0: an open hash over their bytes. */
export class KeyTable {
  readonly #keys: KeyBytes;
  #slots = new Int32Array(2048).fill(-1);
  #hashes = new Int32Array(1024);
  #starts = new Int32Array(1025);
  count = 0;

  constructor(keys: KeyBytes) {
    this.#keys = keys;
    keys.at = 0;
  }

  /** The number of the key that `write` gives; one that was not here before gets the next. */
  find(write: KeyWriter, row: number): number {
    const keys = this.#keys;
    const start = this.#starts[this.count]!;
    keys.at = start;
    write(row, keys);
    const { bytes, at: end } = keys;
    let hash = 0x811c9dc5;
    for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
    hash ^= hash >>> 15;
    const mask = this.#slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const known = this.#slots[slot]!;
      if (known < 0) return this.#add(slot, hash, end);
      if (this.#hashes[known] === hash && this.#isSame(known, start, end)) return known;
    }
  }

  #isSame(known: number, start: number, end: number): boolean {
    const from = this.#starts[known]!;
    const size = end - start;
    if (this.#starts[known + 1]! - from !== size) return false;
    const { bytes } = this.#keys;
    for (let at = 0; at < size; at++) if (bytes[from + at] !== bytes[start + at]) return false;
    return true;
  }

  #add(slot: number, hash: number, end: number): number {
    const number = this.count++;
    this.#slots[slot] = number;
    this.#hashes[number] = hash;
    this.#starts[number + 1] = end;
    if (this.count === this.#hashes.length) this.#grow();
    return number;
  }

  #grow(): void {
    const size = this.#hashes.length * 2;
    const hashes = new Int32Array(size);
    hashes.set(this.#hashes);
    this.#hashes = hashes;
    const starts = new Int32Array(size + 1);
    starts.set(this.#starts);
    this.#starts = starts;
    const slots = new Int32Array(size * 2).fill(-1);
    const mask = slots.length - 1;
    for (let number = 0; number < this.count; number++) {
      let slot = hashes[number]! & mask;
      while (slots[slot]! >= 0) slot = (slot + 1) & mask;
      slots[slot] = number;
    }
    this.#slots = slots;
  }
}
