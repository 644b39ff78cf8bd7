import { type ColumnType, encodedVector, type Vector } from '@millrace/core/runtime';

/** A column of few texts, each row naming one by its place: nothing is printed row by row. NULL where a text is null. */
export function dictionaryVector(type: ColumnType, texts: readonly (string | null)[], places: ArrayLike<number>): Vector {
  const bytes = texts.map((text) => (text === null ? null : Buffer.from(text)));
  const data = Buffer.concat(bytes.filter((one) => one !== null));
  const at: number[] = [];
  let end = 0;
  for (const one of bytes) {
    at.push(end);
    end += one?.length ?? 0;
  }
  const starts = new Int32Array(places.length);
  const lengths = new Int32Array(places.length);
  for (let row = 0; row < places.length; row++) {
    const place = places[row]!;
    starts[row] = at[place]!;
    lengths[row] = bytes[place]?.length ?? -1;
  }
  return encodedVector(type, { encoding: 'text', data, starts, lengths, stride: 1, offset: 0 }, places.length);
}

/** One text in every row. */
export const constantVector = (type: ColumnType, text: string | null, rows: number): Vector =>
  dictionaryVector(type, [text], new Uint8Array(rows));

/** Whole numbers below 2^53. */
export function countsVector(rows: number, count: (row: number) => number): Vector {
  const starts = new Int32Array(rows);
  const lengths = new Int32Array(rows);
  const texts: string[] = [];
  let end = 0;
  for (let row = 0; row < rows; row++) {
    const text = String(count(row));
    texts.push(text);
    starts[row] = end;
    lengths[row] = text.length;
    end += text.length;
  }
  return encodedVector(
    { kind: 'int8' },
    { encoding: 'text', data: Buffer.from(texts.join(''), 'latin1'), starts, lengths, stride: 1, offset: 0 },
    rows,
  );
}
