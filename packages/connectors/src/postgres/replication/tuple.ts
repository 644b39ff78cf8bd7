import { columnKinds, type Tuple } from '../../changes/tuple.ts';
import { cut } from './fields.ts';

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
