import { beforeKinds, type ColumnBatch, isUnchanged, type TableChanges, type Vector, valuesVector } from '@millrace/core/runtime';

/** Rows of a batch; all of them where `rows` is null. */
export interface Piece {
  readonly batch: ColumnBatch;
  readonly rows: Int32Array | null;
  /** Which of the group's transactions, by row of the batch. */
  readonly transactions: Int32Array;
}

export const rowCount = (pieces: readonly Piece[]): number =>
  pieces.reduce((total, { rows, batch }) => total + (rows ? rows.length : batch.rowCount), 0);

/** Changes of several parts of one table under one number each. */
export class NumberedParts {
  readonly parts: readonly TableChanges[];
  /** The number of the first change of each part. */
  readonly bases: readonly number[];
  readonly count: number;

  constructor(parts: readonly TableChanges[]) {
    this.parts = parts;
    let count = 0;
    this.bases = parts.map(({ kinds }) => {
      const base = count;
      count += kinds.length;
      return base;
    });
    this.count = count;
  }

  /** The place of the part that a change stands in. */
  placeOf(change: number): number {
    const { bases } = this;
    let low = 0;
    for (let high = bases.length - 1; low < high; ) {
      const middle = (low + high + 1) >> 1;
      if (bases[middle]! <= change) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** A list of changes, part by part. */
export class ChangeList {
  readonly #of: NumberedParts;
  #changes = new Int32Array(256);
  count = 0;

  constructor(of: NumberedParts) {
    this.#of = of;
  }

  add(change: number): void {
    if (this.count === this.#changes.length) {
      const larger = new Int32Array(this.count * 2);
      larger.set(this.#changes);
      this.#changes = larger;
    }
    this.#changes[this.count++] = change;
  }

  /** The rows after the changes, or before them. */
  pieces(side: 'rows' | 'old' = 'rows'): Piece[] {
    const { parts, bases } = this.#of;
    const sizes = new Int32Array(parts.length);
    const places = new Int32Array(this.count);
    for (let at = 0; at < this.count; at++) {
      const place = parts.length === 1 ? 0 : this.#of.placeOf(this.#changes[at]!);
      places[at] = place;
      sizes[place]!++;
    }
    const rows = parts.map((_, place) => new Int32Array(sizes[place]!));
    const filled = new Int32Array(parts.length);
    for (let at = 0; at < this.count; at++) {
      const place = places[at]!;
      rows[place]![filled[place]!++] = this.#changes[at]! - bases[place]!;
    }
    return parts.flatMap((part, place): Piece[] => {
      const batch = side === 'rows' ? part.rows : part.old;
      return batch && sizes[place]! > 0 ? [{ batch, rows: rows[place]!, transactions: part.transactions }] : [];
    });
  }

  /** The rows after the changes, with values that a change has left as they were taken from the changes it goes on from. */
  gathered(previous: Int32Array, side: 'rows' | 'old' = 'rows'): Piece[] {
    if (this.count === 0) return [];
    const { parts } = this.#of;
    const last = parts[this.#of.placeOf(this.#changes[this.count - 1]!)]!;
    const { schema } = last.rows;
    const transactions = new Int32Array(this.count);
    const columns = schema.columns.map(() => new Array<unknown>(this.count));
    for (let at = 0; at < this.count; at++) {
      const change = this.#changes[at]!;
      const place = this.#of.placeOf(change);
      transactions[at] = parts[place]!.transactions[change - this.#of.bases[place]!]!;
      for (let column = 0; column < columns.length; column++)
        columns[column]![at] = this.#value(schema.columns[column]!.name, change, previous, side);
    }
    const vectors = schema.columns.map(({ type }, column) => valuesVector(type, columns[column]!));
    return [{ batch: { schema, rowCount: this.count, vectors }, rows: null, transactions }];
  }

  #value(name: string, change: number, previous: Int32Array, side: 'rows' | 'old'): unknown {
    if (side === 'old') {
      const place = this.#of.placeOf(change);
      const { old } = this.#of.parts[place]!;
      return (old && vectorOf(old, name)?.get(change - this.#of.bases[place]!)) ?? null;
    }
    for (let from = change; from >= 0; from = previous[from]!) {
      const place = this.#of.placeOf(from);
      const part = this.#of.parts[place]!;
      const row = from - this.#of.bases[place]!;
      const vector = vectorOf(part.rows, name);
      if (vector && !isUnchanged(vector, row)) return vector.get(row);
      const before = part.old && part.before[row] === beforeKinds.row ? vectorOf(part.old, name) : null;
      if (before && !isUnchanged(before, row)) return before.get(row);
    }
    return null;
  }
}

export function vectorOf(batch: ColumnBatch, name: string): Vector | null {
  const place = batch.schema.columns.findIndex((column) => column.name === name);
  return batch.vectors[place] ?? null;
}

/** The same rows in the same order, at most so many together. */
export function* chunksOf(pieces: readonly Piece[], most: number): Generator<Piece[]> {
  let chunk: Piece[] = [];
  let room = most;
  for (const piece of pieces) {
    const size = piece.rows ? piece.rows.length : piece.batch.rowCount;
    for (let from = 0; from < size; ) {
      const count = Math.min(room, size - from);
      chunk.push(count === size ? piece : { ...piece, rows: slice(piece, from, from + count) });
      from += count;
      room -= count;
      if (room > 0) continue;
      yield chunk;
      chunk = [];
      room = most;
    }
  }
  if (chunk.length > 0) yield chunk;
}

const slice = ({ rows }: Piece, from: number, to: number): Int32Array =>
  rows ? rows.subarray(from, to) : Int32Array.from({ length: to - from }, (_, at) => from + at);
