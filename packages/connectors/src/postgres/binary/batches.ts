import { type ColumnBatch, encodedVector, type ReadCount, type RowSchema } from '@millrace/core/runtime';
import { binaryDecoder } from './decode.ts';
import { formOf } from './form.ts';
import { corrupt, type ScanLimits, type Scanned, scanner } from './scan.ts';

/**
 * The bytes of a COPY BINARY as column batches. Only the places of fields are found; a value is decoded when it is asked for.
 * `done` is the server's own count: the iteration throws where it does not agree, or where the server broke off.
 */
export async function* binaryBatches(
  stream: AsyncIterable<Buffer>,
  schema: RowSchema,
  done: Promise<ReadCount>,
  onBatch: (rows: number, bytes: number) => void = () => {},
  limits?: ScanLimits,
): AsyncGenerator<ColumnBatch, void, undefined> {
  const toBatch = batcher(schema);
  const fields = scanner(schema.columns.length, limits);
  for await (const chunk of stream) {
    for (const scanned of fields.add(chunk)) {
      onBatch(scanned.rows, scanned.data.length);
      yield toBatch(scanned);
    }
  }
  const { rows } = await done;
  const last = fields.end();
  if (fields.rows !== rows) throw corrupt(`${fields.rows} rows came and the server counted ${rows}`);
  if (last) {
    onBatch(last.rows, last.data.length);
    yield toBatch(last);
  }
}

function batcher(schema: RowSchema): (scanned: Scanned) => ColumnBatch {
  const stride = schema.columns.length;
  const columns = schema.columns.map(({ type }) => ({
    type,
    encoding: formOf(type) === 'text' ? ('text' as const) : ('pg-binary' as const),
    decode: binaryDecoder(type),
  }));
  return ({ data, starts, lengths, rows }) => ({
    schema,
    rowCount: rows,
    vectors: columns.map(({ type, encoding, decode }, offset) =>
      encodedVector(type, { encoding, data, starts, lengths, stride, offset }, rows, decode),
    ),
  });
}
