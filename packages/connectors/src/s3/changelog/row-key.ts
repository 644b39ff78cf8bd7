import { type ColumnBatch, isUnchanged, knownValues, textCodec, type Vector } from '@millrace/core/runtime';

/** The keys of a batch's rows as text, equal where the keys are; null where one is not known whole. */
export function keyReader(batch: ColumnBatch, key: readonly string[]): (row: number) => string | null {
  const readers = key.map((name) => textReader(batch.vectors[batch.schema.columns.findIndex((column) => column.name === name)]!));
  const [only] = readers;
  if (readers.length === 1 && only) return only;
  return (row) => {
    const texts = readers.map((read) => read(row));
    return texts.includes(null) ? null : JSON.stringify(texts);
  };
}

function textReader(vector: Vector): (row: number) => string | null {
  const known = knownValues(vector);
  const { encoded } = known;
  if (encoded?.encoding === 'text') {
    const { data, starts, lengths, stride, offset } = encoded;
    return (row) => {
      const at = row * stride + offset;
      return lengths[at]! < 0 || isUnchanged(vector, row) ? null : data.toString('utf8', starts[at]!, starts[at]! + lengths[at]!);
    };
  }
  const { print } = textCodec(vector.type);
  return (row) => (isUnchanged(vector, row) || known.isNull(row) ? null : print(known.get(row)));
}
