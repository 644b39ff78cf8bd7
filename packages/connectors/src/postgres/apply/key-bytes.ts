import { baseType, type ColumnBatch, type EncodedValues, MillraceError, type Vector } from '@millrace/core/runtime';

/** Bytes of keys, one after another. */
export class KeyBytes {
  bytes = Buffer.allocUnsafeSlow(64 * 1024);
  at = 0;

  room(size: number): void {
    if (this.at + size <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, this.at + size));
    larger.set(this.bytes.subarray(0, this.at));
    this.bytes = larger;
  }
}

/** Appends the key of a row, so that equal keys of one table have equal bytes and others have not. */
export type KeyWriter = (row: number, into: KeyBytes) => void;

/** How the keys of all batches of a table can be written alike. */
export type KeyForm = 'text' | 'pg-binary' | 'values';

export function keyForm(batches: readonly ColumnBatch[], key: readonly string[]): KeyForm {
  let form: KeyForm | null = null;
  for (const batch of batches) {
    for (const vector of keyVectors(batch, key)) {
      const own = vector.encoded?.encoding ?? 'values';
      if (form !== null && own !== form) return 'values';
      form = own;
    }
  }
  return form ?? 'values';
}

/** @throws INTERNAL for a column that the batch lacks */
export function keyVectors(batch: ColumnBatch, key: readonly string[]): Vector[] {
  return key.map((name) => {
    const place = batch.schema.columns.findIndex((column) => column.name === name);
    const vector = batch.vectors[place];
    if (vector) return vector;
    throw new MillraceError('INTERNAL', { message: `A batch has no column "${name}" of its key.`, remedy: 'Please report it.' });
  });
}

export function keyWriter(batch: ColumnBatch, key: readonly string[], form: KeyForm): KeyWriter {
  const parts = keyVectors(batch, key).map((vector) => partWriter(vector, form));
  const [only] = parts;
  if (parts.length === 1 && only) return only;
  return (row, into) => {
    for (const part of parts) {
      into.room(4);
      const length = into.at;
      into.at += 4;
      part(row, into);
      into.bytes.writeInt32LE(into.at - length - 4, length);
    }
  };
}

function partWriter(vector: Vector, form: KeyForm): KeyWriter {
  const { encoded } = vector;
  return form !== 'values' && encoded ? bytesOf(encoded) : valuesOf(vector);
}

function bytesOf({ data, starts, lengths, stride, offset }: EncodedValues): KeyWriter {
  return (row, into) => {
    const at = row * stride + offset;
    const size = lengths[at]!;
    if (size <= 0) return;
    const from = starts[at]!;
    into.room(size);
    const { bytes } = into;
    const to = into.at;
    if (size > 48) data.copy(bytes, to, from, from + size);
    else for (let byte = 0; byte < size; byte++) bytes[to + byte] = data[from + byte]!;
    into.at = to + size;
  };
}

function valuesOf(vector: Vector): KeyWriter {
  // -0 and 0 are one key to the database.
  const isFloat = /^float/.test(baseType(vector.type).kind);
  return (row, into) => {
    const value = vector.get(row);
    const text = isFloat && value === 0 ? '0' : value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : shown(value);
    into.room(3 * text.length);
    into.at += into.bytes.write(text, into.at, 'utf8');
  };
}

const shown = (value: unknown): string =>
  typeof value === 'object' ? JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? String(item) : item)) : String(value);
