import { MillraceError } from '../error/index.ts';
import type { RowSchema } from '../schema/index.ts';
import { batchLimits, type ColumnBatch } from './column-batch.ts';
import type { Decode } from './string-decoder.ts';
import { decodeText } from './text-value.ts';
import { encodedVector } from './vectors.ts';

/** Canonical CSV (`WireFormat` csv) as column batches. @throws WIRE_CORRUPT, with the row's number from 1 */
export async function* decodeCsv(schema: RowSchema, chunks: AsyncIterable<Buffer>): AsyncGenerator<ColumnBatch, void, undefined> {
  const decoder = new CsvDecoder(schema);
  for await (const chunk of chunks) yield* decoder.push(chunk);
  yield* decoder.end();
}

/** Where a chunk may break off, so where the next one goes on. */
const fieldStart = 0;
const unquoted = 1;
const quoted = 2;
const afterQuote = 3;

const comma = 44;
const newline = 10;
const quote = 34;

/**
 * Chunks are copied once, into the memory of the batch they become part of. A quoted field is unescaped in place when its
 * end is found; until then its bytes stand as they came, so that the scan can go on in the next chunk.
 */
export class CsvDecoder {
  readonly #schema: RowSchema;
  readonly #width: number;
  readonly #decoders: readonly Decode[];
  readonly #limits: { readonly rows: number; readonly bytes: number };

  #data: Buffer;
  /** Bytes of `#data` that are filled, and looked at. */
  #filled = 0;
  #at = 0;
  #starts: Int32Array;
  #lengths: Int32Array;
  #rows = 0;
  #rowStart = 0;

  #state = fieldStart;
  #column = 0;
  /** First byte of the current field's value, and how many `""` it holds. */
  #from = 0;
  #escapes = 0;
  #rowsBefore = 0;

  constructor(schema: RowSchema, limits: { readonly rows: number; readonly bytes: number } = batchLimits) {
    this.#schema = schema;
    this.#width = schema.columns.length;
    this.#decoders = schema.columns.map(({ type }) => decodeText(type));
    this.#limits = limits;
    this.#data = Buffer.allocUnsafeSlow(limits.bytes);
    this.#starts = new Int32Array(this.#width * 64);
    this.#lengths = new Int32Array(this.#width * 64);
  }

  *push(chunk: Buffer): Generator<ColumnBatch, void, undefined> {
    let from = 0;
    while (from < chunk.length) {
      if (this.#filled === this.#data.length) {
        if (this.#rows > 0) yield this.#close();
        else this.#grow();
      }
      const taken = Math.min(chunk.length - from, this.#data.length - this.#filled);
      chunk.copy(this.#data, this.#filled, from, from + taken);
      this.#filled += taken;
      from += taken;
      while (this.#scan()) yield this.#close();
    }
  }

  *end(): Generator<ColumnBatch, void, undefined> {
    if (this.#at > this.#rowStart || this.#column > 0 || this.#state !== fieldStart) {
      throw this.#corrupt(this.#state === quoted ? 'the stream ends inside a quoted field' : 'the stream ends in the middle of it');
    }
    if (this.#rows > 0) yield this.#close();
  }

  /** True where the batch has all the rows it may have and bytes are left. */
  #scan(): boolean {
    const data = this.#data;
    const filled = this.#filled;
    const width = this.#width;
    let at = this.#at;
    let state = this.#state;
    let column = this.#column;
    let from = this.#from;
    while (at < filled) {
      const byte = data[at]!;
      if (state === unquoted) {
        if (byte !== comma && byte !== newline) {
          if (byte === quote || byte === 13) throw this.#corrupt('a quote or a carriage return stands in a field without quotes');
          at++;
          continue;
        }
      } else if (state === fieldStart) {
        from = at;
        if (byte === quote) {
          state = quoted;
          from = ++at;
          this.#escapes = 0;
          continue;
        }
        if (byte !== comma && byte !== newline) {
          state = unquoted;
          continue;
        }
      } else if (state === quoted) {
        if (byte === quote) state = afterQuote;
        at++;
        continue;
      } else if (byte === quote) {
        this.#escapes++;
        state = quoted;
        at++;
        continue;
      } else if (byte !== comma && byte !== newline) throw this.#corrupt('something stands behind the closing quote of a field');

      // A field ends here.
      if (column >= width) throw this.#corrupt(`it has more than the ${width} fields of the table`);
      const place = this.#rows * width + column;
      this.#starts[place] = from;
      this.#lengths[place] = state === fieldStart ? -1 : state === unquoted ? at - from : this.#unescape(from, at - 1);
      at++;
      state = fieldStart;
      column++;
      if (byte === comma) {
        if (column === width) throw this.#corrupt(`it has more than the ${width} fields of the table`);
        continue;
      }
      if (column < width) throw this.#corrupt(`it has ${column} fields and the table has ${width}`);
      column = 0;
      this.#rows++;
      this.#rowStart = at;
      if (this.#rows === this.#limits.rows) {
        this.#at = at;
        this.#state = state;
        this.#column = 0;
        return true;
      }
      if ((this.#rows + 1) * width > this.#starts.length) this.#moreRows();
    }
    this.#at = at;
    this.#state = state;
    this.#column = column;
    this.#from = from;
    return false;
  }

  /** Squeezes `""` to `"` in place. The length of what is left. */
  #unescape(from: number, to: number): number {
    if (this.#escapes === 0) return to - from;
    const data = this.#data;
    let write = from;
    for (let read = from; read < to; read++) {
      data[write++] = data[read]!;
      if (data[read] === quote) read++;
    }
    return write - from;
  }

  /** The complete rows as a batch. What has begun after them moves to new memory, its finished fields with it. */
  #close(): ColumnBatch {
    const width = this.#width;
    const rows = this.#rows;
    const encoded = { encoding: 'text', data: this.#data, starts: this.#starts, lengths: this.#lengths, stride: width } as const;
    const vectors = this.#schema.columns.map(({ type }, offset) =>
      encodedVector(type, { ...encoded, offset }, rows, this.#decoders[offset]),
    );

    const shift = this.#rowStart;
    const rest = this.#data.subarray(shift, this.#filled);
    this.#data = Buffer.allocUnsafeSlow(Math.max(this.#limits.bytes, rest.length));
    rest.copy(this.#data);
    // The next batch will have about as many rows as this one.
    const starts = new Int32Array(Math.max(this.#starts.length, width));
    const lengths = new Int32Array(starts.length);
    for (let column = 0; column < this.#column; column++) {
      starts[column] = this.#starts[rows * width + column]! - shift;
      lengths[column] = this.#lengths[rows * width + column]!;
    }
    this.#starts = starts;
    this.#lengths = lengths;
    this.#filled -= shift;
    this.#at -= shift;
    this.#from -= shift;
    this.#rowStart = 0;
    this.#rowsBefore += rows;
    this.#rows = 0;
    return { schema: this.#schema, rowCount: rows, vectors };
  }

  /** A single row that is larger than a batch may be. */
  #grow(): void {
    const larger = Buffer.allocUnsafeSlow(this.#data.length * 2);
    this.#data.copy(larger, 0, 0, this.#filled);
    this.#data = larger;
  }

  #moreRows(): void {
    const room = Math.min(this.#starts.length * 2, this.#limits.rows * this.#width);
    const starts = new Int32Array(room);
    starts.set(this.#starts);
    this.#starts = starts;
    const lengths = new Int32Array(room);
    lengths.set(this.#lengths);
    this.#lengths = lengths;
  }

  #corrupt(why: string): MillraceError {
    const row = this.#rowsBefore + this.#rows + 1;
    return new MillraceError('WIRE_CORRUPT', {
      message: `Row ${row} of the CSV stream is damaged: ${why}.`,
      remedy: 'The part was thrown away and is read again; where it happens again, look at what writes the stream.',
      facts: { row },
    });
  }
}
