import { batchLimits } from '@millrace/core/runtime';
import { headerBytes, largestPayload, type Outcome, readEnd, readRefusal } from './packets.ts';
import { corrupt, type ServerRefusal } from './refusal.ts';

/**
 * Finds the values of a result in the text protocol without looking at them. Rows are kept as they came, in a buffer that the batch owns;
 * `starts` and `lengths` say where each value stands, row by row; a length of -1 is NULL.
 */
export interface ScannedRows {
  readonly data: Buffer;
  readonly starts: Int32Array;
  readonly lengths: Int32Array;
  readonly rows: number;
}

export interface RowScanner {
  /** Batches that became complete with this chunk. The chunk may be used again afterwards. */
  add(chunk: Buffer): ScannedRows[];
  /** How the result ended; null while it goes on. */
  readonly end: { readonly rows: ScannedRows | null; readonly outcome: Outcome } | { readonly refusal: ServerRefusal } | null;
  /** Rows found so far. */
  readonly rows: number;
}

export interface ScanLimits {
  readonly rows: number;
  readonly bytes: number;
}

/** Room for what a chunk of the socket brings beyond the limit, so that most batches never move. */
const slack = 256 * 1024;

export function rowScanner(columns: number, limits: ScanLimits = batchLimits): RowScanner {
  const mostRows = Math.max(1, Math.min(limits.rows, Math.floor((limits.bytes + slack) / (headerBytes + columns))));
  let data = Buffer.allocUnsafeSlow(limits.bytes + slack);
  let starts = new Int32Array(mostRows * columns);
  let lengths = new Int32Array(mostRows * columns);
  let filled = 0;
  let at = 0;
  let rows = 0;
  let total = 0;
  let end: RowScanner['end'] = null;

  /** Scans what is there. True where the batch is full. */
  function scan(): boolean {
    while (rows < mostRows && at < limits.bytes && end === null) {
      if (filled - at < headerBytes) break;
      const from = at + headerBytes;
      let length = data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16);
      if (length === largestPayload) {
        const joined = join(at);
        if (joined < 0) break;
        length = joined;
      } else if (from + length > filled) break;
      const first = data[from];
      if (length < 9 && first === 0xfe) finish(from, length);
      else if (first === 0xff) {
        end = { refusal: readRefusal(Buffer.from(data.subarray(from, from + length))) };
      } else {
        readRow(from, from + length);
        at = from + length;
        rows++;
      }
    }
    return rows === mostRows || at >= limits.bytes;
  }

  function readRow(from: number, stop: number): void {
    const bytes = data;
    let next = from;
    let place = rows * columns;
    for (const last = place + columns; place < last; place++) {
      if (next >= stop) throw corrupt('a row has too few values');
      let length = bytes[next++]!;
      if (length > 250) {
        if (length === 0xfb) {
          starts[place] = next;
          lengths[place] = -1;
          continue;
        }
        if (length === 0xfc) {
          length = bytes[next]! | (bytes[next + 1]! << 8);
          next += 2;
        } else if (length === 0xfd) {
          length = bytes[next]! | (bytes[next + 1]! << 8) | (bytes[next + 2]! << 16);
          next += 3;
        } else if (length === 0xfe) {
          length = bytes.readUInt32LE(next);
          next += 8;
        } else throw corrupt('a value has no length');
      }
      starts[place] = next;
      lengths[place] = length;
      next += length;
    }
    if (next !== stop) throw corrupt('the values of a row do not fill it');
  }

  /** A row of several packets becomes one piece. Answers its length, or -1 while some of it is missing. */
  function join(packet: number): number {
    let whole = packet + headerBytes;
    for (;;) {
      whole += largestPayload;
      if (filled - whole < headerBytes) return -1;
      const length = data[whole]! | (data[whole + 1]! << 8) | (data[whole + 2]! << 16);
      if (length !== largestPayload) {
        if (filled - whole - headerBytes < length) return -1;
        break;
      }
      whole += headerBytes;
    }
    let length = largestPayload;
    for (let more = true; more; ) {
      const inner = packet + headerBytes + length;
      const piece = data[inner]! | (data[inner + 1]! << 8) | (data[inner + 2]! << 16);
      data.copyWithin(inner, inner + headerBytes, filled);
      filled -= headerBytes;
      length += piece;
      more = piece === largestPayload;
    }
    return length;
  }

  function finish(from: number, length: number): void {
    const outcome = readEnd(Buffer.from(data.subarray(from, from + length)));
    if (from + length !== filled) throw corrupt('bytes follow the end of the rows');
    end = { rows: rows > 0 ? { data: data.subarray(0, at), starts, lengths, rows } : null, outcome };
  }

  /** Closes the batch and carries what has not been scanned into a new buffer. */
  function take(): ScannedRows {
    const batch: ScannedRows = { data: data.subarray(0, at), starts, lengths, rows };
    const rest = filled - at;
    const next = Buffer.allocUnsafeSlow(Math.max(limits.bytes + slack, rest + slack));
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

  return {
    get rows() {
      return total + rows;
    },
    get end() {
      return end;
    },
    add(chunk) {
      const done: ScannedRows[] = [];
      for (let from = 0; from < chunk.length; ) {
        if (end !== null) throw corrupt('bytes follow the end of the rows');
        const room = data.length - filled;
        if (room === 0) {
          // One row is larger than the buffer: close what is before it, or make the buffer grow with it.
          if (rows > 0) done.push(take());
          else data = Buffer.concat([data.subarray(0, filled)], data.length * 2);
          continue;
        }
        const size = Math.min(room, chunk.length - from);
        data.set(size === chunk.length ? chunk : chunk.subarray(from, from + size), filled);
        filled += size;
        from += size;
        while (end === null && scan()) done.push(take());
      }
      return done;
    },
  };
}
