import { cut } from './fields.ts';

/** What stands in a column of a row message: the protocol's own letters. */
export const columnKinds = {
  null: 0x6e, // n
  /** A TOASTed value that an update left as it was, which is therefore not in the log. */
  unchanged: 0x75, // u
  text: 0x74, // t
  binary: 0x62, // b
} as const;

/**
 * One row of a message, as places in its bytes. There are two of them for a whole stream: what they say holds until the handler returns.
 * The bytes themselves stay as they are, so slices of them may be kept; each keeps the piece alive that the socket read (up to 64 KB).
 */
export class Tuple {
  bytes: Buffer = Buffer.alloc(0);
  columns = 0;
  /** One of `columnKinds` for each column. Lengths are 0 where there is no value. */
  kinds: Uint8Array = new Uint8Array(64);
  starts: Uint32Array = new Uint32Array(64);
  lengths: Uint32Array = new Uint32Array(64);

  /** A value as text, null for NULL, undefined for an unchanged one. For tests and messages: batches are made from the bytes. */
  text(column: number): string | null | undefined {
    if (column >= this.columns) return undefined;
    const kind = this.kinds[column];
    if (kind === columnKinds.null) return null;
    if (kind === columnKinds.unchanged) return undefined;
    const start = this.starts[column]!;
    return this.bytes.toString('utf8', start, start + this.lengths[column]!);
  }

  grow(columns: number): void {
    this.kinds = new Uint8Array(columns);
    this.starts = new Uint32Array(columns);
    this.lengths = new Uint32Array(columns);
  }
}

/** Reads TupleData and answers where it ends. The one loop that runs for each value of a stream. @throws WIRE_CORRUPT */
export function readTuple(tuple: Tuple, bytes: Buffer, start: number, end: number): number {
  if (start + 2 > end) throw cut('a row without its number of columns');
  const columns = (bytes[start]! << 8) | bytes[start + 1]!;
  let at = start + 2;
  if (columns > tuple.kinds.length) {
    if (at + columns > end) throw cut(`a row of ${columns} columns in ${end - at} bytes`);
    tuple.grow(columns);
  }
  const { kinds, starts, lengths } = tuple;
  tuple.bytes = bytes;
  tuple.columns = columns;
  for (let column = 0; column < columns; column++) {
    if (at >= end) throw cut(`a row that ends before column ${column + 1} of ${columns}`);
    const kind = bytes[at++]!;
    kinds[column] = kind;
    if (kind === columnKinds.text || kind === columnKinds.binary) {
      if (at + 4 > end) throw cut('a value without its length');
      const length = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
      at += 4;
      if (length < 0 || length > end - at) throw cut(`a value of ${length} bytes where ${end - at} are left`);
      starts[column] = at;
      lengths[column] = length;
      at += length;
    } else if (kind === columnKinds.null || kind === columnKinds.unchanged) {
      starts[column] = at;
      lengths[column] = 0;
    } else throw cut(`a value of kind ${kind}`);
  }
  return at;
}
