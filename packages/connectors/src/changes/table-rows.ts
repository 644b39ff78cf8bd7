import { beforeKinds, type ChangeKind, type ColumnBatch, changeKinds, type TableChanges, unchangedVector } from '@millrace/core/runtime';
import { columnVector, type TableShape } from './table-shape.ts';
import { columnKinds, type Tuple } from './tuple.ts';

const firstRows = 16;
const firstBytes = 4 * 1024;
/** Undeclared columns are copied along where that is less work than leaving them out. */
const cheapBytes = 2 * 1024;

/**
 * Changes of one table in the making. A tuple is copied once, as it came, into a buffer that becomes the batch's own; `starts` and `lengths`
 * say where its fields stand, row by row.
 */
export class TableRows {
  readonly shape: TableShape;
  rows = 0;
  size = 0;
  /** Of the transaction that is not whole yet: rows and bytes before it. */
  markRows = 0;
  markSize = 0;
  /** Whose mark it is. */
  marked = -1;
  #data: Buffer;
  #starts: Int32Array;
  #lengths: Int32Array;
  #oldStarts: Int32Array | null = null;
  #oldLengths: Int32Array | null = null;
  #kinds: Uint8Array;
  #before: Uint8Array;
  #ordinals: Float64Array;
  #transactions: Int32Array;
  /** A bit for each row, by column; made when the first unchanged value comes. */
  #unchanged: (Uint8Array | null)[] | null = null;
  #capacity: number;

  constructor(shape: TableShape, capacity = firstRows, bytes = firstBytes) {
    this.shape = shape;
    this.#capacity = capacity;
    this.#data = Buffer.allocUnsafeSlow(bytes);
    this.#starts = new Int32Array(capacity * shape.columns.length);
    this.#lengths = new Int32Array(capacity * shape.columns.length);
    this.#kinds = new Uint8Array(capacity);
    this.#before = new Uint8Array(capacity);
    this.#ordinals = new Float64Array(capacity);
    this.#transactions = new Int32Array(capacity);
  }

  /** Bytes that it holds on to. */
  get weight(): number {
    return this.size + this.rows * (8 * this.shape.columns.length + 16);
  }

  add(kind: ChangeKind, ordinal: number, transaction: number, row: Tuple | null, old: Tuple | null, before: number): void {
    if (this.rows === this.#capacity) this.#grow();
    const at = this.rows++;
    this.#kinds[at] = kind;
    this.#before[at] = before;
    this.#ordinals[at] = ordinal;
    this.#transactions[at] = transaction;
    if (old !== null) this.#addOld(at, old);
    else if (this.#oldLengths) this.#blank(this.#oldLengths, at);
    if (row !== null) this.#addRow(at, row, before === beforeKinds.row);
    else this.#repeatOld(at);
    if (this.shape.unnamed && kind !== changeKinds.insert) this.#hide(at, this.shape.unnamed);
  }

  /** Nobody may find a row by what is not known of it: somebody took a key column out of the replica identity. */
  #hide(at: number, columns: readonly number[]): void {
    this.#before[at] = beforeKinds.none;
    for (const column of columns) {
      this.#lengths[at * this.shape.columns.length + column] = -1;
      this.#setUnchanged(column, at);
    }
  }

  #addRow(at: number, row: Tuple, hasOldRow: boolean): void {
    const { columns } = this.shape;
    const stride = columns.length;
    const starts = this.#starts;
    const lengths = this.#lengths;
    const shift = this.#take(row);
    let place = at * stride;
    for (let column = 0; column < stride; column++, place++) {
      const source = columns[column]!.source;
      const kind = source < 0 ? columnKinds.null : row.kinds[source]!;
      if (kind === columnKinds.null) {
        lengths[place] = -1;
        starts[place] = 0;
      } else if (kind === columnKinds.unchanged) {
        // The old row of REPLICA IDENTITY FULL has the value.
        if (hasOldRow) {
          starts[place] = this.#oldStarts![place]!;
          lengths[place] = this.#oldLengths![place]!;
        } else {
          lengths[place] = -1;
          starts[place] = 0;
          this.#setUnchanged(column, at);
        }
      } else {
        columns[column]!.check(kind);
        lengths[place] = row.lengths[source]!;
        starts[place] = shift === null ? this.#takeField(row, source) : row.starts[source]! + shift;
      }
    }
  }

  #addOld(at: number, old: Tuple): void {
    const { columns } = this.shape;
    const stride = columns.length;
    if (!this.#oldStarts || !this.#oldLengths) {
      this.#oldStarts = new Int32Array(this.#capacity * stride);
      this.#oldLengths = new Int32Array(this.#capacity * stride).fill(-1, 0, at * stride);
    }
    const starts = this.#oldStarts;
    const lengths = this.#oldLengths;
    const shift = this.#take(old);
    let place = at * stride;
    for (let column = 0; column < stride; column++, place++) {
      const source = columns[column]!.source;
      const kind = source < 0 ? columnKinds.null : old.kinds[source]!;
      if (kind === columnKinds.null || kind === columnKinds.unchanged) {
        lengths[place] = -1;
        starts[place] = 0;
      } else {
        columns[column]!.check(kind);
        lengths[place] = old.lengths[source]!;
        starts[place] = shift === null ? this.#takeField(old, source) : old.starts[source]! + shift;
      }
    }
  }

  /** A delete has no row but the one before it. */
  #repeatOld(at: number): void {
    const stride = this.shape.columns.length;
    if (!this.#oldStarts || !this.#oldLengths) return this.#blank(this.#lengths, at);
    this.#starts.set(this.#oldStarts.subarray(at * stride, (at + 1) * stride), at * stride);
    this.#lengths.set(this.#oldLengths.subarray(at * stride, (at + 1) * stride), at * stride);
  }

  #blank(lengths: Int32Array, at: number): void {
    const stride = this.shape.columns.length;
    lengths.fill(-1, at * stride, (at + 1) * stride);
  }

  #setUnchanged(column: number, row: number): void {
    this.#unchanged ??= new Array<Uint8Array | null>(this.shape.columns.length).fill(null);
    let flags = this.#unchanged[column] ?? null;
    if (flags === null) {
      flags = new Uint8Array((this.#capacity + 7) >> 3);
      this.#unchanged[column] = flags;
    }
    flags[row >> 3]! |= 1 << (row & 7);
  }

  /** Copies the whole tuple; answers what to add to the places of its fields. Null where its fields are better taken one by one. */
  #take(tuple: Tuple): number | null {
    const last = tuple.columns - 1;
    const from = tuple.starts[0]!;
    const to = last < 0 ? from : tuple.starts[last]! + tuple.lengths[last]!;
    const length = to - from;
    if (!this.shape.whole && length > cheapBytes) return null;
    const at = this.#room(length);
    tuple.bytes.copy(this.#data, at, from, to);
    return at - from;
  }

  #takeField(tuple: Tuple, field: number): number {
    const length = tuple.lengths[field]!;
    const at = this.#room(length);
    tuple.bytes.copy(this.#data, at, tuple.starts[field]!, tuple.starts[field]! + length);
    return at;
  }

  #room(length: number): number {
    const at = this.size;
    this.size = at + length;
    if (this.size > this.#data.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.size, this.#data.length * 2));
      this.#data.copy(larger, 0, 0, at);
      this.#data = larger;
    }
    return at;
  }

  #grow(): void {
    const capacity = this.#capacity * 2;
    const stride = this.shape.columns.length;
    this.#starts = larger(this.#starts, new Int32Array(capacity * stride));
    this.#lengths = larger(this.#lengths, new Int32Array(capacity * stride));
    if (this.#oldStarts) this.#oldStarts = larger(this.#oldStarts, new Int32Array(capacity * stride));
    if (this.#oldLengths) this.#oldLengths = larger(this.#oldLengths, new Int32Array(capacity * stride));
    this.#kinds = larger(this.#kinds, new Uint8Array(capacity));
    this.#before = larger(this.#before, new Uint8Array(capacity));
    this.#ordinals = larger(this.#ordinals, new Float64Array(capacity));
    this.#transactions = larger(this.#transactions, new Int32Array(capacity));
    this.#unchanged = this.#unchanged?.map((flags) => flags && larger(flags, new Uint8Array((capacity + 7) >> 3))) ?? null;
    this.#capacity = capacity;
  }

  /**
   * Takes the rows after the mark away, as the beginning of another group: `ordinal` and `transaction` are what that group counts from.
   * Their bytes are copied: there are few, since a group is cut before a transaction grows large.
   */
  splitAtMark(ordinal: number, transaction: number): TableRows {
    const from = this.markRows;
    const rows = this.rows - from;
    const stride = this.shape.columns.length;
    let capacity = firstRows;
    while (capacity < rows) capacity *= 2;
    const rest = new TableRows(this.shape, capacity, Math.max(firstBytes, this.size - this.markSize));
    rest.rows = rows;
    rest.size = this.size - this.markSize;
    this.#data.copy(rest.#data, 0, this.markSize, this.size);
    const moved = (places: Int32Array): Int32Array => {
      const out = new Int32Array(capacity * stride);
      for (let at = 0, place = from * stride; at < rows * stride; at++, place++) out[at] = Math.max(0, places[place]! - this.markSize);
      return out;
    };
    const kept = <A extends Int32Array | Uint8Array | Float64Array>(values: A, width: number, into: A): A => {
      into.set(values.subarray(from * width, this.rows * width));
      return into;
    };
    rest.#starts = moved(this.#starts);
    rest.#lengths = kept(this.#lengths, stride, new Int32Array(capacity * stride));
    if (this.#oldStarts && this.#oldLengths) {
      rest.#oldStarts = moved(this.#oldStarts);
      rest.#oldLengths = kept(this.#oldLengths, stride, new Int32Array(capacity * stride));
    }
    rest.#kinds = kept(this.#kinds, 1, new Uint8Array(capacity));
    rest.#before = kept(this.#before, 1, new Uint8Array(capacity));
    for (let at = 0; at < rows; at++) {
      rest.#ordinals[at] = this.#ordinals[from + at]! - ordinal;
      rest.#transactions[at] = this.#transactions[from + at]! - transaction;
    }
    for (let column = 0; column < stride; column++) {
      const flags = this.#unchanged?.[column];
      if (!flags) continue;
      for (let at = 0; at < rows; at++) {
        const row = from + at;
        if (flags[row >> 3]! & (1 << (row & 7))) rest.#setUnchanged(column, at);
      }
    }
    this.rows = from;
    this.size = this.markSize;
    return rest;
  }

  /** The rows as a part of a group; nothing may be added afterwards. */
  close(): TableChanges {
    const { rows } = this;
    const data = this.#data.subarray(0, this.size);
    const before = this.#before.subarray(0, rows);
    return {
      kind: 'changes',
      table: this.shape.table,
      kinds: this.#kinds.subarray(0, rows),
      ordinals: this.#ordinals.subarray(0, rows),
      transactions: this.#transactions.subarray(0, rows),
      rows: this.#batch(data, this.#starts, this.#lengths, this.#unchanged),
      old: this.#oldStarts && this.#oldLengths ? this.#batch(data, this.#oldStarts, this.#oldLengths, null) : null,
      before,
    };
  }

  #batch(data: Buffer, starts: Int32Array, lengths: Int32Array, unchanged: readonly (Uint8Array | null)[] | null): ColumnBatch {
    const { columns, schema } = this.shape;
    const { rows } = this;
    const places = { data, starts, lengths, stride: columns.length };
    return {
      schema,
      rowCount: rows,
      vectors: columns.map((column, offset) => {
        const vector = columnVector(column, places, offset, rows);
        const flags = unchanged?.[offset];
        return flags?.some((byte) => byte !== 0) ? unchangedVector(vector, flags) : vector;
      }),
    };
  }
}

function larger<A extends Int32Array | Uint8Array | Float64Array>(values: A, into: A): A {
  into.set(values);
  return into;
}
