import { beforeKinds, hasUnchanged, isUnchanged, type TableChanges, type Vector } from '@millrace/core/runtime';
import { type NumberedParts, vectorOf } from './pieces.ts';

/**
 * Which values nobody knows: for each key a bit for each column that may be unchanged, 1 where no change of these has brought its value.
 */
export class UnchangedColumns {
  /** The change that a change goes on from where it lacks something, or -1. */
  readonly previous: Int32Array;
  readonly #columns: readonly string[];
  readonly #words: number;
  readonly #mask: Uint32Array;
  #masks: Uint32Array;
  #rows: readonly (Vector | null)[] = [];
  #old: readonly (Vector | null)[] = [];
  #before: Uint8Array = new Uint8Array(0);
  /** Of the row last read: some of its values stand in the row before it alone. */
  #needsOld = false;

  /** Null where every change brings everything. */
  static of(numbered: NumberedParts): UnchangedColumns | null {
    const columns = numbered.parts.flatMap(({ rows }) =>
      rows.schema.columns.flatMap(({ name }, place) => (hasUnchanged(rows.vectors[place]!) ? [name] : [])),
    );
    return columns.length === 0 ? null : new UnchangedColumns([...new Set(columns)], numbered.count);
  }

  constructor(columns: readonly string[], changes: number) {
    this.#columns = columns;
    this.#words = Math.ceil(columns.length / 32);
    this.#mask = new Uint32Array(this.#words);
    this.#masks = new Uint32Array(1024 * this.#words);
    this.previous = new Int32Array(changes).fill(-1);
  }

  open({ rows, old, before }: TableChanges): void {
    this.#rows = this.#columns.map((name) => vectorOf(rows, name));
    this.#old = this.#columns.map((name) => old && vectorOf(old, name));
    this.#before = before;
  }

  /** An insert. */
  begin(entry: number, row: number): void {
    this.#read(row);
    this.#keep(entry);
  }

  /** An update, going on from the row that `from` has, if it is not -1. True where what it lacks stands elsewhere in these changes. */
  follow(entry: number, row: number, change: number, from: number, image: number): boolean {
    this.#read(row);
    let learned = false;
    if (from >= 0) {
      for (let word = 0; word < this.#words; word++) {
        const lacking = this.#mask[word]!;
        const still = lacking & this.#masks[from * this.#words + word]!;
        if (lacking !== still >>> 0) learned = true;
        this.#mask[word] = still;
      }
      if (learned) this.previous[change] = image;
    }
    this.#keep(entry);
    return learned || this.#needsOld;
  }

  lacks(entry: number): boolean {
    for (let word = 0; word < this.#words; word++) if (this.#masks[entry * this.#words + word] !== 0) return true;
    return false;
  }

  mask(entry: number): string {
    return this.lacks(entry) ? this.#masks.subarray(entry * this.#words, (entry + 1) * this.#words).join(' ') : '';
  }

  names(mask: string): string[] {
    const words = mask === '' ? [] : mask.split(' ').map(Number);
    return this.#columns.filter((_, column) => ((words[column >> 5] ?? 0) & (1 << (column & 31))) !== 0);
  }

  #read(row: number): void {
    this.#mask.fill(0);
    this.#needsOld = false;
    for (let column = 0; column < this.#columns.length; column++) {
      const vector = this.#rows[column];
      if (!vector || !isUnchanged(vector, row)) continue;
      const old = this.#before[row] === beforeKinds.row ? this.#old[column] : null;
      if (!old || isUnchanged(old, row)) this.#mask[column >> 5]! |= 1 << (column & 31);
      else this.#needsOld = true;
    }
  }

  #keep(entry: number): void {
    const needed = (entry + 1) * this.#words;
    if (needed > this.#masks.length) this.#masks = grown(new Uint32Array(needed * 2), this.#masks);
    this.#masks.set(this.#mask, entry * this.#words);
  }
}

/** The larger array, which begins as the smaller one. */
export function grown<T extends Uint8Array | Int32Array | Uint32Array>(larger: T, from: T): T {
  larger.set(from);
  return larger;
}
