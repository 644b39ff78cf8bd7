export { batchLimits, type ColumnBatch, type EncodedValues, type Vector } from './column-batch.ts';
