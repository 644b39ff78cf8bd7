import { batchLimits, MillraceError } from '@millrace/core/runtime';

/**
 * Finds the fields of a COPY BINARY stream without looking at their values. Rows are kept as they came, in a buffer that the
 * batch owns; `starts` and `lengths` say where each field stands, row by row.
 *
 * Format: https://www.postgresql.org/docs/current/sql-copy.html (File Formats, Binary Format).
 */
export interface Scanned {
  readonly data: Buffer;
  readonly starts: Int32Array;
  readonly lengths: Int32Array;
  readonly rows: number;
}

export interface Scanner {
  /** Batches that became complete with this chunk. The chunk may be used again afterwards. */
  add(chunk: Buffer): Scanned[];
  /** The last batch. @throws WIRE_CORRUPT where the trailer has not come */
  end(): Scanned | null;
  /** Rows found so far. */
  readonly rows: number;
}

export interface ScanLimits {
  readonly rows: number;
  readonly bytes: number;
}

export const signature: Buffer = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
const fixedHeader = signature.length + 8;
/** Room for what a chunk of the socket brings beyond the limit, so that most batches never move. */
const slack = 256 * 1024;

/** Buffers whose fields stand one after another, each behind its length: neighbours can be copied in one piece. */
const contiguous = new WeakSet<Buffer>();
export const isContiguous = (data: Buffer): boolean => contiguous.has(data);

export function scanner(columns: number, limits: ScanLimits = batchLimits): Scanner {
  const mostRows = Math.max(1, Math.min(limits.rows, Math.floor((limits.bytes + slack) / (2 + 4 * columns))));
  let data = Buffer.allocUnsafeSlow(limits.bytes + slack);
  let starts = new Int32Array(mostRows * columns);
  let lengths = new Int32Array(mostRows * columns);
  let filled = 0;
  let at = 0;
  let rows = 0;
  let total = 0;
  let headerRead = false;
  let trailerRead = false;

  /** Scans what is there. True where the batch is full. */
  function scan(): boolean {
    const bytes = data;
    let place = rows * columns;
    let from = at;
    const stop = filled;
    while (rows < mostRows && from < limits.bytes) {
      if (stop - from < 2) break;
      const count = (((bytes[from]! << 8) | bytes[from + 1]!) << 16) >> 16;
      if (count !== columns) {
        if (count !== -1) throw corrupt(`a row has ${count} fields where ${columns} were expected`);
        trailerRead = true;
        from += 2;
        if (from !== stop) throw corrupt('bytes follow the trailer');
        break;
      }
      let next = from + 2;
      let field = 0;
      for (; field < columns; field++) {
        if (stop - next < 4) break;
        const length = (bytes[next]! << 24) | (bytes[next + 1]! << 16) | (bytes[next + 2]! << 8) | bytes[next + 3]!;
        next += 4;
        starts[place + field] = next;
        lengths[place + field] = length;
        if (length > 0) {
          next += length;
          if (next > stop) break;
        } else if (length < -1) throw corrupt(`a field has the length ${length}`);
      }
      if (field < columns) break;
      from = next;
      place += columns;
      rows++;
    }
    at = from;
    return rows === mostRows || at >= limits.bytes;
  }

  function close(): Scanned {
    const closed = data.subarray(0, at);
    contiguous.add(closed);
    return { data: closed, starts, lengths, rows };
  }

  /** Closes the batch and carries what has not been scanned into a new buffer with room for `room` bytes more. */
  function take(room: number): Scanned {
    const batch = close();
    const rest = filled - at;
    const next = Buffer.allocUnsafeSlow(Math.max(limits.bytes + slack, rest + room));
    data.copy(next, 0, at, filled);
    data = next;
    starts = new Int32Array(mostRows * columns);
    lengths = new Int32Array(mostRows * columns);
    filled = rest;
    at = 0;
    total += rows;
    rows = 0;
    return batch;
  }

  function readHeader(): void {
    if (filled < fixedHeader) return;
    if (!data.subarray(0, signature.length).equals(signature)) throw corrupt('it does not begin with the signature of COPY BINARY');
    const extension = data.readInt32BE(signature.length + 4);
    if (extension < 0) throw corrupt('its header is broken');
    if (filled < fixedHeader + extension) return;
    headerRead = true;
    at = fixedHeader + extension;
  }

  return {
    get rows() {
      return total + rows;
    },
    add(chunk) {
      const done: Scanned[] = [];
      for (let from = 0; from < chunk.length; ) {
        if (trailerRead) throw corrupt('bytes follow the trailer');
        const room = data.length - filled;
        if (room === 0) {
          // One row is larger than the buffer: close what is before it, or make the buffer grow with it.
          if (rows > 0) done.push(take(slack));
          else data = Buffer.concat([data.subarray(0, filled)], data.length * 2);
          continue;
        }
        const size = Math.min(room, chunk.length - from);
        data.set(size === chunk.length ? chunk : chunk.subarray(from, from + size), filled);
        filled += size;
        from += size;
        if (!headerRead) readHeader();
        while (headerRead && !trailerRead && scan()) done.push(take(0));
      }
      return done;
    },
    end() {
      if (!trailerRead) throw corrupt('it ended before its trailer');
      return rows > 0 ? close() : null;
    },
  };
}

export const corrupt = (why: string): MillraceError =>
  new MillraceError('WIRE_CORRUPT', {
    message: `The binary COPY stream cannot be read: ${why}.`,
    remedy: 'The part is thrown away and read again. If it stays, look at what stands between here and the database.',
  });
