import { beforeKinds, changeKinds, hasUnchanged, type TableChanges } from '@millrace/core/runtime';
import { KeyBytes, type KeyWriter, keyForm, keyVectors, keyWriter } from './key-bytes.ts';
import { KeyTable } from './key-table.ts';
import { ChangeList, NumberedParts, type Piece } from './pieces.ts';
import { grown, UnchangedColumns } from './unchanged-columns.ts';

/** What some changes of one table come to, one act for each key. */
export interface Compacted {
  /** Keys of rows that were there before and are gone. */
  readonly deletes: readonly Piece[];
  /** Rows that were not there before. */
  readonly inserts: readonly Piece[];
  /** Rows that were there, by the columns that nobody knows since no change has touched them. */
  readonly updates: readonly UpdatedRows[];
  /** Rows that came and went: as they were last, and their keys. */
  readonly passed: { readonly rows: readonly Piece[]; readonly keys: readonly Piece[] };
}

export interface UpdatedRows {
  readonly unknown: readonly string[];
  readonly pieces: readonly Piece[];
}

/**
 * Last write wins; values that an update did not bring are taken from the change before it, where that came too. Null where the changes
 * have to be applied one by one: a row has moved to another key, and a part of it is known to the table alone.
 */
export function compact(parts: readonly TableChanges[], key: readonly string[]): Compacted | null {
  const only = onlyKind(parts);
  // The source has seen to it that their keys differ.
  if (only === changeKinds.insert) return { ...nothing, inserts: parts.map(whole) };
  if (parts.some(({ rows }) => keyVectors(rows, key).some(hasUnchanged))) return null;
  if (only === changeKinds.delete) return { ...nothing, deletes: parts.map(whole) };
  return new Compaction(parts, key).run();
}

const done = new WeakMap<readonly TableChanges[], { readonly key: readonly string[]; readonly result: Compacted | null }>();

/** What was made ready before its time, or once before for the same changes, is not made again. */
export function compactOnce(parts: readonly TableChanges[], key: readonly string[]): Compacted | null {
  const known = done.get(parts);
  if (known?.key.join('\0') === key.join('\0')) return known.result;
  const result = compact(parts, key);
  done.set(parts, { key, result });
  return result;
}

const nothing: Compacted = { deletes: [], inserts: [], updates: [], passed: { rows: [], keys: [] } };
const whole = ({ rows, transactions }: TableChanges): Piece => ({ batch: rows, rows: null, transactions });

function onlyKind(parts: readonly TableChanges[]): number | null {
  const first = parts[0]?.kinds[0] ?? 0;
  for (const { kinds } of parts) for (let row = 0; row < kinds.length; row++) if (kinds[row] !== first) return null;
  return first;
}

/* The state of a key, as bits. */
/** Its row was there before the first change. */
const existed = 1;
/** It is there after the last one. */
const present = 2;
/** Some values of the row stand in earlier changes. */
const merged = 4;
/** The row moved to another key: this one stands in the `old` of the change that ended it. */
const moved = 8;

const keys = new KeyBytes();

class Compaction {
  readonly #numbered: NumberedParts;
  readonly #key: readonly string[];
  readonly #keys = new KeyTable(keys);
  #states = new Uint8Array(1024);
  /** The last change that says what the row of a key is. */
  #images = new Int32Array(1024);
  /** The change that took the row of a key away. */
  #ends = new Int32Array(1024);
  readonly #unchanged: UnchangedColumns | null;

  constructor(parts: readonly TableChanges[], key: readonly string[]) {
    this.#numbered = new NumberedParts(parts);
    this.#key = key;
    this.#unchanged = UnchangedColumns.of(this.#numbered);
  }

  run(): Compacted | null {
    const { parts, bases } = this.#numbered;
    const form = keyForm(
      parts.flatMap(({ rows, old }) => (old ? [rows, old] : [rows])),
      this.#key,
    );
    for (const [place, part] of parts.entries()) {
      const writeOld = part.old && keyWriter(part.old, this.#key, form);
      if (!this.#read(part, bases[place]!, keyWriter(part.rows, this.#key, form), writeOld)) return null;
    }
    return this.#result();
  }

  /** False where the changes must be applied one by one. */
  #read(part: TableChanges, base: number, write: KeyWriter, writeOld: KeyWriter | null): boolean {
    const { kinds, before } = part;
    const unchanged = this.#unchanged;
    unchanged?.open(part);
    for (let row = 0; row < kinds.length; row++) {
      const kind = kinds[row]!;
      const change = base + row;
      let seen = this.#keys.count;
      const entry = this.#find(write, row);
      const state = entry === seen ? -1 : this.#states[entry]!;
      if (kind === changeKinds.delete) {
        this.#states[entry] = state < 0 ? existed : state & existed;
        this.#ends[entry] = change;
        continue;
      }
      if (kind === changeKinds.insert) {
        this.#states[entry] = present | (state < 0 ? 0 : state & existed);
        this.#images[entry] = change;
        unchanged?.begin(entry, row);
        continue;
      }
      seen = this.#keys.count;
      const from = before[row] === beforeKinds.none || writeOld === null ? entry : this.#find(writeOld, row);
      const fromState = from === entry ? state : from === seen ? -1 : this.#states[from]!;
      const goesOn = fromState >= 0 && (fromState & present) !== 0;
      const isMerged = unchanged?.follow(entry, row, change, goesOn ? from : -1, this.#images[from]!) ?? false;
      // A row that is gone lends nothing; what remains of it at the target is not the row that this change is of.
      if (!goesOn && fromState >= 0 && unchanged?.lacks(entry)) return false;
      let origin = state < 0 ? existed : state & existed;
      if (from !== entry) {
        if (unchanged?.lacks(entry)) return false;
        this.#states[from] = (fromState < 0 ? existed : fromState & existed) | moved;
        this.#ends[from] = change;
        // Where nothing is known of the new key, no row was there: the source holds keys apart.
        if (state < 0) origin = 0;
      }
      this.#states[entry] = present | origin | (isMerged ? merged : 0);
      this.#images[entry] = change;
    }
    return true;
  }

  #find(write: KeyWriter, row: number): number {
    const entry = this.#keys.find(write, row);
    if (entry >= this.#states.length) {
      const size = this.#states.length * 2;
      this.#states = grown(new Uint8Array(size), this.#states);
      this.#images = grown(new Int32Array(size), this.#images);
      this.#ends = grown(new Int32Array(size), this.#ends);
    }
    return entry;
  }

  #result(): Compacted {
    const list = () => new ChangeList(this.#numbered);
    const [ended, left, passedEnds, passedLeft] = [list(), list(), list(), list()];
    const inserts = new RowLists(this.#numbered);
    const passed = new RowLists(this.#numbered);
    const updates = new Map<string, RowLists>();
    for (let entry = 0; entry < this.#keys.count; entry++) {
      const state = this.#states[entry]!;
      if (state & present) {
        const mask = state & existed ? (this.#unchanged?.mask(entry) ?? '') : null;
        const rows = mask === null ? inserts : (updates.get(mask) ?? new RowLists(this.#numbered));
        if (mask !== null) updates.set(mask, rows);
        rows.add(this.#images[entry]!, state);
      } else if (state & existed) {
        (state & moved ? left : ended).add(this.#ends[entry]!);
      } else {
        passed.add(this.#images[entry]!, state);
        (state & moved ? passedLeft : passedEnds).add(this.#ends[entry]!);
      }
    }
    const previous = this.#unchanged?.previous ?? null;
    return {
      deletes: [...ended.pieces(), ...left.pieces('old')],
      inserts: inserts.pieces(previous),
      updates: [...updates].map(([mask, rows]) => ({ unknown: this.#unchanged?.names(mask) ?? [], pieces: rows.pieces(previous) })),
      passed: { rows: passed.pieces(previous), keys: [...passedEnds.pieces(), ...passedLeft.pieces('old')] },
    };
  }
}

/** Rows that one change brings whole, and rows whose values stand in several. */
class RowLists {
  readonly #plain: ChangeList;
  readonly #merged: ChangeList;

  constructor(of: NumberedParts) {
    this.#plain = new ChangeList(of);
    this.#merged = new ChangeList(of);
  }

  add(change: number, state: number): void {
    (state & merged ? this.#merged : this.#plain).add(change);
  }

  pieces(previous: Int32Array | null): Piece[] {
    return [...this.#plain.pieces(), ...(previous ? this.#merged.gathered(previous) : [])];
  }
}
