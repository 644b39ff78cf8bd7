import { type ColumnBatch, inColumn, isUnchanged, knownValues, textCodec, type Vector } from '@millrace/core/runtime';
import type { TextRow } from './form.ts';

/** Rows of a batch as text, of some of its columns. A value that is not known is left out. */
export function textRows(batch: ColumnBatch, names: ReadonlySet<string>): (row: number) => TextRow {
  const readers = batch.schema.columns.flatMap(({ name }, place) =>
    names.has(name) ? [[name, batch.vectors[place]!, textReader(batch.vectors[place]!)] as const] : [],
  );
  return (row) => {
    const texts: TextRow = new Map();
    for (const [name, vector, read] of readers) {
      if (isUnchanged(vector, row)) continue;
      try {
        texts.set(name, read(row));
      } catch (error) {
        throw inColumn(name, error);
      }
    }
    return texts;
  };
}

function textReader(vector: Vector): (row: number) => string | null {
  const known = knownValues(vector);
  const { encoded } = known;
  if (encoded?.encoding === 'text') {
    const { data, starts, lengths, stride, offset } = encoded;
    return (row) => {
      const at = row * stride + offset;
      return lengths[at]! < 0 ? null : data.toString('utf8', starts[at]!, starts[at]! + lengths[at]!);
    };
  }
  const { print } = textCodec(vector.type);
  return (row) => (known.isNull(row) ? null : print(known.get(row)));
}
