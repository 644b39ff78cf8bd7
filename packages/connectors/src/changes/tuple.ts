/** What stands in a column of a row that came off a log: the letters of Postgres's protocol. */
export const columnKinds = {
  null: 0x6e, // n
  /** A value that an update left as it was, and which is therefore not in the log. */
  unchanged: 0x75, // u
  /** As Postgres prints it, whatever the source is. */
  text: 0x74, // t
  /** As Postgres sends it. */
  binary: 0x62, // b
} as const;

/**
 * One row, as places in bytes. A reader of a log has two of them for a whole stream (a row and the one before it): what they say holds until the
 * handler returns.
 */
export class Tuple {
  bytes: Buffer = Buffer.alloc(0);
  columns = 0;
  /** One of `columnKinds` for each column. Lengths are 0 where there is no value. */
  kinds: Uint8Array = new Uint8Array(64);
  starts: Uint32Array = new Uint32Array(64);
  lengths: Uint32Array = new Uint32Array(64);

  /** A value as text, null for NULL, undefined for an unchanged one. For tests and messages: batches are made from the bytes. */
  text(column: number): string | null | undefined {
    if (column >= this.columns) return undefined;
    const kind = this.kinds[column];
    if (kind === columnKinds.null) return null;
    if (kind === columnKinds.unchanged) return undefined;
    const start = this.starts[column]!;
    return this.bytes.toString('utf8', start, start + this.lengths[column]!);
  }

  grow(columns: number): void {
    this.kinds = new Uint8Array(columns);
    this.starts = new Uint32Array(columns);
    this.lengths = new Uint32Array(columns);
  }
}

/** What an update or delete says of the row before: the columns that identify it (the others are NULL), or all of it. */
export type OldKind = 'key' | 'row';
