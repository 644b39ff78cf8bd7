import type { ColumnType, RowSchema } from '../schema/index.ts';

/**
 * Rows on their way through a stage, column by column: the internal currency of the columns and rows lanes.
 *
 * A vector that came off a wire keeps the bytes as they came and decodes a value when somebody asks for it, so a column
 * that no function touches goes from one COPY to the next as a slice of memory. Vectors are immutable, and a batch may be
 * kept: its memory is its own.
 */
export interface ColumnBatch {
  readonly schema: RowSchema;
  readonly rowCount: number;
  /** In the order of `schema.columns`; each has `rowCount` values. */
  readonly vectors: readonly Vector[];
  /** Of what a transform has returned: for each row the row of its input that it came from. Left out where they are the same rows in the same order. */
  readonly origins?: Int32Array;
}

export interface Vector {
  readonly type: ColumnType;
  readonly length: number;
  isNull(row: number): boolean;
  /** The value as the table in `schema/column.ts` has it, or null. */
  get(row: number): unknown;
  /** The bytes behind the values, while the vector is still in the form in which it was read. */
  readonly encoded?: EncodedValues;
}

/**
 * Values as bytes in one buffer. Value `row` stands at `starts[row * stride + offset]` and is `lengths[row * stride + offset]`
 * bytes long; a length of -1 is NULL. A row-major reader shares `starts` and `lengths` between the vectors of a batch.
 */
export interface EncodedValues {
  /** `pg-binary`: as in COPY BINARY and the extended protocol. `text`: UTF-8 of what Postgres prints, unquoted and unescaped. */
  readonly encoding: 'pg-binary' | 'text';
  readonly data: Buffer;
  readonly starts: Int32Array;
  readonly lengths: Int32Array;
  readonly stride: number;
  readonly offset: number;
}

/** A batch is closed at this many rows or bytes, whichever comes first; a single larger row makes a batch of its own. */
export const batchLimits = { rows: 16_384, bytes: 4 * 1024 * 1024 } as const;
