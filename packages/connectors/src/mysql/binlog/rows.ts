import { columnKinds, Tuple } from '../../changes/tuple.ts';
import { inflateEvent } from './compressed.ts';
import { corrupt } from './corrupt.ts';
import { Cursor } from './cursor.ts';
import { eventTypes, type LogEvent } from './event.ts';
import type { Field } from './reading.ts';
import { Scratch } from './scratch.ts';

export type RowsKind = 'insert' | 'update' | 'delete';

const { insertRows1, updateRows1, deleteRows1, insertRows, updateRows, deleteRows } = eventTypes;
const { insertRowsCompressed1, updateRowsCompressed1, deleteRowsCompressed1 } = eventTypes;
const { insertRowsCompressed, updateRowsCompressed, deleteRowsCompressed } = eventTypes;

/** What a rows event does, and in which of its forms: with room for more in its head (`extra`), compressed. */
const forms = new Map<number, { readonly kind: RowsKind; readonly extra: boolean; readonly compressed: boolean }>(
  (
    [
      ['insert', insertRows1, insertRows, insertRowsCompressed1, insertRowsCompressed],
      ['update', updateRows1, updateRows, updateRowsCompressed1, updateRowsCompressed],
      ['delete', deleteRows1, deleteRows, deleteRowsCompressed1, deleteRowsCompressed],
    ] as const
  ).flatMap(([kind, first, second, firstCompressed, secondCompressed]) => [
    [first, { kind, extra: false, compressed: false }],
    [second, { kind, extra: true, compressed: false }],
    [firstCompressed, { kind, extra: false, compressed: true }],
    [secondCompressed, { kind, extra: true, compressed: true }],
  ]),
);

/** Rows of one table, of one event. */
export interface RowsEvent {
  readonly kind: RowsKind;
  /** A bit for each column of the images that are there, least first: of the row before, and of the row after. */
  readonly before: Buffer;
  readonly after: Buffer;
  /** The images, one after the other. */
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

export const rowsKind = (type: number): RowsKind | null => forms.get(type)?.kind ?? null;

/** The number of the table, which a table map has told. */
export const rowsTable = ({ bytes, start }: LogEvent): number => bytes.readUIntLE(start, 6);

/** `tableColumns`: how many the table map has told of. @throws WIRE_CORRUPT */
export function readRowsEvent(event: LogEvent, tableColumns: number): RowsEvent {
  const form = forms.get(event.type);
  if (!form) throw corrupt(`rows in an event of type ${event.type}`);
  const cursor = new Cursor(event.bytes, event.start + 8, event.end);
  if (form.extra) cursor.take(cursor.uint(2) - 2);
  const columns = cursor.packed();
  if (columns !== tableColumns) throw corrupt(`rows of ${columns} columns in a table of ${tableColumns}`);
  const first = cursor.slice((columns + 7) >> 3);
  const second = form.kind === 'update' ? cursor.slice((columns + 7) >> 3) : first;
  const rows = { kind: form.kind, before: first, after: second };
  if (!form.compressed) return { ...rows, bytes: event.bytes, start: cursor.at, end: event.end };
  const bytes = inflateEvent(cursor.slice(cursor.left));
  return { ...rows, bytes, start: 0, end: bytes.length };
}

export const isPresent = (bitmap: Buffer, column: number): boolean => (bitmap[column >> 3]! & (1 << (column & 7))) !== 0;

/**
 * Reads row images of one table into a tuple, as text. Fields that nobody wants are passed over, and are NULL; columns that an image has not got are
 * unchanged.
 */
export class RowImages {
  readonly tuple = new Tuple();
  readonly #scratch = new Scratch();
  readonly #fields: readonly Field[];
  readonly #wanted: readonly boolean[];

  constructor(fields: readonly Field[], wanted: readonly boolean[]) {
    this.#fields = fields;
    this.#wanted = wanted;
    if (fields.length > this.tuple.kinds.length) this.tuple.grow(fields.length);
    this.tuple.columns = fields.length;
  }

  /** Reads the image at `at` and answers where it ends. What the tuple says holds until the next one. @throws WIRE_CORRUPT */
  read(bytes: Buffer, at: number, end: number, present: Buffer): number {
    const fields = this.#fields;
    const scratch = this.#scratch;
    const { kinds, starts, lengths } = this.tuple;
    scratch.size = 0;
    let nulls = at;
    let bit = 0;
    let next = at + ((countBits(present, fields.length) + 7) >> 3);
    for (let column = 0; column < fields.length; column++) {
      starts[column] = scratch.size;
      lengths[column] = 0;
      if ((present[column >> 3]! & (1 << (column & 7))) === 0) {
        kinds[column] = columnKinds.unchanged;
        continue;
      }
      const isNull = (bytes[nulls]! & (1 << bit)) !== 0;
      if (++bit === 8) {
        bit = 0;
        nulls++;
      }
      kinds[column] = columnKinds.null;
      if (isNull) continue;
      if (next >= end) {
        // Only an empty value could stand at the very end, and none is empty: each has a length before it.
        throw corrupt(`a row that ends before column ${column + 1} of ${fields.length}`);
      }
      if (!this.#wanted[column]) {
        next = fields[column]!.skip(bytes, next);
        continue;
      }
      scratch.isNull = false;
      next = fields[column]!.read(bytes, next, scratch);
      if (scratch.isNull) {
        scratch.size = starts[column]!;
        continue;
      }
      kinds[column] = columnKinds.text;
      lengths[column] = scratch.size - starts[column]!;
    }
    if (next > end) throw corrupt(`a row that is ${next - end} bytes longer than its event`);
    this.tuple.bytes = scratch.bytes;
    return next;
  }
}

const bits = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll('0', '').length);

function countBits(bitmap: Buffer, columns: number): number {
  let count = 0;
  for (let place = 0; place < bitmap.length; place++) count += bits[bitmap[place]!]!;
  // Bits past the last column are set in some versions.
  for (let place = columns; place < bitmap.length * 8; place++) if ((bitmap[place >> 3]! & (1 << (place & 7))) !== 0) count--;
  return count;
}

/** Whether two images have the same text in a column. */
export function sameText(a: Tuple, b: Tuple, column: number): boolean {
  if (a.kinds[column] !== b.kinds[column] || a.lengths[column] !== b.lengths[column]) return false;
  const [from, to] = [a.starts[column]!, b.starts[column]!];
  return a.bytes.compare(b.bytes, to, to + b.lengths[column]!, from, from + a.lengths[column]!) === 0;
}
