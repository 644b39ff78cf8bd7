import type { Readable } from 'node:stream';
import type { ColumnBatch } from '../batch/index.ts';
import type { RowSchema } from '../schema/index.ts';

/**
 * How rows can travel between a source, the transforms and a sink.
 *
 * | format          | what it is                                                                                     |
 * |-----------------|------------------------------------------------------------------------------------------------|
 * | `pgcopy-binary` | the bytes of COPY (FORMAT binary), from header to trailer                                       |
 * | `csv`           | what Postgres writes with COPY (FORMAT csv): UTF-8, no header, NULL is an unquoted empty field, '' is `""`, dates ISO, TimeZone UTC, bytea hex, IntervalStyle iso_8601 |
 * | `batches`       | column batches: where a function of the pipeline stands between                                 |
 */
export type WireFormat = 'pgcopy-binary' | 'csv' | 'batches';

/** What the reading end says after the last row; a sink compares it with what it has counted itself. */
export interface ReadCount {
  readonly rows: number;
}

export type Channel = BytesChannel | BatchesChannel;

export interface BytesChannel {
  readonly format: 'pgcopy-binary' | 'csv';
  readonly schema: RowSchema;
  readonly stream: Readable;
  /** Settles after the stream has ended. Rejects when the source broke off, even where the bytes end at a row's end. */
  readonly done: Promise<ReadCount>;
}

export interface BatchesChannel {
  readonly format: 'batches';
  readonly schema: RowSchema;
  /** Ends only when all rows have come; a source that breaks off makes the iteration throw. */
  readonly batches: AsyncIterable<ColumnBatch>;
}
