import { baseType, type ColumnType, type RowSchema } from '../schema/index.ts';
import type { ColumnBatch, Vector } from './column-batch.ts';
import { inColumn } from './mismatch.ts';
import { textCodec } from './text-value.ts';

/** A chunk is handed on at the first row's end past this; small enough for a socket, large enough that the calls cost nothing. */
const chunkBytes = 192 * 1024;
const firstBuffer = 256 * 1024;

/** Batches as canonical CSV (`WireFormat` csv): no header, rows end in a line feed, NULL is nothing and '' is `""`. */
export async function* encodeCsv(schema: RowSchema, batches: AsyncIterable<ColumnBatch>): AsyncGenerator<Buffer, void, undefined> {
  const encoder = csvEncoder(schema);
  for await (const batch of batches) yield* encoder(batch);
}

/** Encodes batch after batch; each call gives all the bytes of its batch. */
export function csvEncoder(schema: RowSchema): (batch: ColumnBatch) => Generator<Buffer, void, undefined> {
  const width = schema.columns.length;
  const printers = new Map<ColumnType, FieldPrinter>();
  const out = new CsvBuffer();
  return function* (batch) {
    // By the vector's type and not the schema's: an int4 may stand where the target has an int8.
    const sources = batch.vectors.map((vector) => {
      const printer = printers.get(vector.type) ?? { print: textCodec(vector.type).print, safe: isSafe(vector.type) };
      printers.set(vector.type, printer);
      return source(vector, printer);
    });
    for (let row = 0; row < batch.rowCount; row++) {
      for (let column = 0; column < width; column++) {
        const from = sources[column]!;
        if (column > 0) out.byte(44);
        if (from.starts === null) {
          if (!from.vector.isNull(row)) out.text(printed(from, row, schema.columns[column]!.name));
          continue;
        }
        const at = row * from.stride + from.offset;
        const length = from.lengths[at]!;
        if (length < 0) continue;
        if (from.safe) out.copy(from.data, from.starts[at]!, length);
        else out.field(from.data, from.starts[at]!, length);
      }
      out.byte(10);
      if (out.length >= chunkBytes) yield out.take();
    }
    if (out.length > 0) yield out.take();
  };
}

function printed({ vector, print }: FieldSource, row: number, column: string): string {
  try {
    return print(vector.get(row));
  } catch (error) {
    throw inColumn(column, error);
  }
}

interface FieldPrinter {
  readonly print: (value: unknown) => string;
  /** True where no value can hold a character that needs quotes, nor be empty. */
  readonly safe: boolean;
}

interface FieldSource extends FieldPrinter {
  readonly vector: Vector;
  readonly data: Buffer;
  /** Null where the values are not bytes of text, so that they have to be printed. */
  readonly starts: Int32Array | null;
  readonly lengths: Int32Array;
  readonly stride: number;
  readonly offset: number;
}

const nothing = Buffer.alloc(0);
const noPlaces = new Int32Array(0);

function source(vector: Vector, { print, safe }: FieldPrinter): FieldSource {
  const bytes = vector.encoded?.encoding === 'text' ? vector.encoded : null;
  return {
    vector,
    print,
    safe,
    data: bytes?.data ?? nothing,
    starts: bytes?.starts ?? null,
    lengths: bytes?.lengths ?? noPlaces,
    stride: bytes?.stride ?? 0,
    offset: bytes?.offset ?? 0,
  };
}

function isSafe(type: ColumnType): boolean {
  const { kind } = baseType(type);
  return [
    'bool',
    'int2',
    'int4',
    'int8',
    'float4',
    'float8',
    'numeric',
    'date',
    'time',
    'timetz',
    'timestamp',
    'timestamptz',
    'interval',
    'uuid',
    'bytea',
    'inet',
    'cidr',
    'macaddr',
    'macaddr8',
  ].includes(kind);
}

/** 1 for bytes that cannot stand in a field without quotes: quote, comma, line feed, carriage return. */
const special = new Uint8Array(256);
for (const char of '",\n\r') special[char.charCodeAt(0)] = 1;

class CsvBuffer {
  length = 0;
  #bytes = Buffer.allocUnsafeSlow(firstBuffer);

  byte(value: number): void {
    if (this.length === this.#bytes.length) this.#grow(1);
    this.#bytes[this.length++] = value;
  }

  /** Bytes that need no look. */
  copy(data: Buffer, start: number, length: number): void {
    if (this.length + length > this.#bytes.length) this.#grow(length);
    if (length > 48) data.copy(this.#bytes, this.length, start, start + length);
    else {
      const bytes = this.#bytes;
      const to = this.length;
      for (let at = 0; at < length; at++) bytes[to + at] = data[start + at]!;
    }
    this.length += length;
  }

  /** A value as it is or in quotes, whichever it needs. */
  field(data: Buffer, start: number, length: number): void {
    // Twice the length where every byte is a quote, and the two around it.
    if (this.length + 2 * length + 2 > this.#bytes.length) this.#grow(2 * length + 2);
    if (length === 0 || hasEdge(data, start, length)) return this.#quoted(data, start, length);
    const bytes = this.#bytes;
    const to = this.length;
    for (let at = 0; at < length; at++) {
      const byte = data[start + at]!;
      if (special[byte] === 1) return this.#quoted(data, start, length);
      bytes[to + at] = byte;
    }
    this.length += length;
  }

  text(text: string): void {
    const bytes = this.#bytes;
    const { length } = text;
    const to = this.length;
    if (length === 0 || length > 64 || to + length > bytes.length) return this.#longText(text);
    for (let at = 0; at < length; at++) {
      const code = text.charCodeAt(at);
      if (code > 126 || code < 33 || special[code] === 1 || code === 92) return this.#longText(text);
      bytes[to + at] = code;
    }
    this.length += length;
  }

  #longText(text: string): void {
    const bytes = Buffer.from(text);
    this.field(bytes, 0, bytes.length);
  }

  #quoted(data: Buffer, start: number, length: number): void {
    const bytes = this.#bytes;
    let to = this.length;
    bytes[to++] = 34;
    for (let at = 0; at < length; at++) {
      const byte = data[start + at]!;
      if (byte === 34) bytes[to++] = 34;
      bytes[to++] = byte;
    }
    bytes[to++] = 34;
    this.length = to;
  }

  /** What was written so far; the memory is the caller's. */
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.length);
    this.#bytes = Buffer.allocUnsafeSlow(firstBuffer);
    this.length = 0;
    return taken;
  }

  #grow(room: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.length + room));
    this.#bytes.copy(larger, 0, 0, this.length);
    this.#bytes = larger;
  }
}

/** Blanks at either end, which readers like to trim, and `\.`, which ends the data for old COPY. */
function hasEdge(data: Buffer, start: number, length: number): boolean {
  const first = data[start]!;
  const last = data[start + length - 1]!;
  return first === 32 || first === 9 || last === 32 || last === 9 || (length === 2 && first === 92 && last === 46);
}
