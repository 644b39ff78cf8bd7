export { ascii } from './ascii.ts';
export { civil, dateText, dayNumber } from './calendar.ts';
export type { TextCodec } from './codec.ts';
export { batchLimits, type ColumnBatch, type EncodedValues, type Vector } from './column-batch.ts';
export { compareDecimals, comparer, compareText } from './compare.ts';
export { CsvDecoder, decodeCsv } from './csv-decode.ts';
export { csvEncoder, encodeCsv } from './csv-encode.ts';
export { significant } from './float-value.ts';
export { intervalMicros } from './interval-value.ts';
export { inColumn, mismatch, shown } from './mismatch.ts';
export { pickVector } from './pick.ts';
export { batchOfRows, rowsOf } from './plain-rows.ts';
export { rowJson } from './row-json.ts';
export { BatchRows, type Row, RowReader } from './row-reader.ts';
export { notARow, RowWriter } from './row-writer.ts';
export { type Decode, stringDecoder, utf8 } from './string-decoder.ts';
export { type RowNumbers, sliceRows, take, takeFrom, takeRows } from './take.ts';
export { conform, decodeText, encodeText, textCodec } from './text-value.ts';
export {
  bigint64Vector,
  encodedVector,
  float64Vector,
  hasUnchanged,
  int32Vector,
  isUnchanged,
  knownValues,
  type TypedValues,
  typedValues,
  unchangedVector,
  valuesVector,
} from './vectors.ts';
