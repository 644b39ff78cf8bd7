import {
  type ChangeGroup,
  type ColumnBatch,
  encodedVector,
  encodeText,
  isUnchanged,
  knownValues,
  type TableChanges,
  unchangedVector,
  type Vector,
} from '@millrace/core/runtime';

/** The same group with its values as bytes of text, as a change stream brings them. */
export function asText(group: ChangeGroup): ChangeGroup {
  return {
    ...group,
    parts: (async function* () {
      for await (const part of group.parts) yield part.kind === 'changes' ? textPart(part) : part;
    })(),
  };
}

const textPart = (part: TableChanges): TableChanges => ({ ...part, rows: textBatch(part.rows), old: part.old && textBatch(part.old) });

/** Row by row in one buffer, as a parser leaves them. */
export function textBatch(batch: ColumnBatch): ColumnBatch {
  const stride = batch.vectors.length;
  const starts = new Int32Array(batch.rowCount * stride);
  const lengths = new Int32Array(batch.rowCount * stride);
  const pieces: Buffer[] = [];
  let at = 0;
  const printers = batch.vectors.map(({ type }) => encodeText(type));
  for (let row = 0; row < batch.rowCount; row++) {
    for (const [column, vector] of batch.vectors.entries()) {
      const place = row * stride + column;
      const value = isUnchanged(vector, row) ? null : vector.get(row);
      starts[place] = at;
      lengths[place] = -1;
      if (value === null) continue;
      const bytes = Buffer.from(printers[column]!(value));
      pieces.push(bytes);
      lengths[place] = bytes.length;
      at += bytes.length;
    }
  }
  const data = Buffer.concat(pieces);
  return {
    ...batch,
    vectors: batch.vectors.map((vector, offset) => {
      const known = encodedVector(vector.type, { encoding: 'text', data, starts, lengths, stride, offset }, batch.rowCount);
      return vector === knownValues(vector) ? known : unchangedVector(known, flagsOf(vector));
    }),
  };
}

function flagsOf(vector: Vector): Uint8Array {
  const flags = new Uint8Array(Math.ceil(vector.length / 8));
  for (let row = 0; row < vector.length; row++) if (isUnchanged(vector, row)) flags[row >> 3]! |= 1 << (row & 7);
  return flags;
}
