import {
  baseType,
  bigint64Vector,
  type ColumnBatch,
  type ColumnSchema,
  type ColumnType,
  type Decode,
  decodeText,
  encodedVector,
  encodeText,
  float64Vector,
  inColumn,
  int32Vector,
  MillraceError,
  type RowSchema,
  textCodec,
  typedValues,
  type Vector,
  valuesVector,
} from '@millrace/core/runtime';

/*
 * A batch of rows as it stands in a frame, in both directions: rows, columns, place of the directory, nothing (u32 each); bytes of
 * values; for each column its arrays, at multiples of eight; the directory, with four words for each column:
 *
 * | form | second word              | third word                                        |
 * |------|--------------------------|---------------------------------------------------|
 * | 1    | int32 values             | validity, Arrow's bitmap; 0: all values are there |
 * | 2    | float64 values           | likewise                                          |
 * | 3    | int64 values             | likewise                                          |
 * | 4    | starts of values (int32) | their lengths (int32), -1 for NULL                |
 *
 * All places count from the beginning of the payload. So the vectors of a ColumnBatch are views of the frame, and nothing is copied.
 */
const forms = { int32: 1, float64: 2, int64: 3, bytes: 4 } as const;
const headBytes = 16;

/** Frames to batches. `read` are the types in which the values come, by column; they may be narrower than those of the schema. One for each split. */
export function batchReader(schema: RowSchema, read: readonly ColumnType[]): (payload: Buffer) => ColumnBatch {
  const decoders = schema.columns.map(({ type }) => (baseType(type).kind === 'bytea' ? bytesOf : decodeText(type)));
  return (payload) => {
    const rows = payload.readInt32LE(0);
    const directory = payload.readInt32LE(8);
    if (payload.readInt32LE(4) !== schema.columns.length) throw corrupt(`${payload.readInt32LE(4)} columns came`);
    const vectors = schema.columns.map(({ type }, at) => {
      const entry = directory + 16 * at;
      const place = { form: payload.readInt32LE(entry), first: payload.readInt32LE(entry + 4), second: payload.readInt32LE(entry + 8) };
      return vectorOf(payload, rows, place, read[at]!, type, decoders[at]!);
    });
    return { schema, rowCount: rows, vectors };
  };
}

const bytesOf: Decode = (bytes, start, end) => new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start);

interface Place {
  readonly form: number;
  readonly first: number;
  readonly second: number;
}

function vectorOf(data: Buffer, rows: number, { form, first, second }: Place, read: ColumnType, type: ColumnType, decode: Decode): Vector {
  const { buffer, byteOffset } = data;
  const validity = second === 0 ? undefined : data.subarray(second, second + Math.ceil(rows / 8));
  const { kind } = baseType(type);
  switch (form) {
    case forms.int32: {
      const values = new Int32Array(buffer, byteOffset + first, rows);
      return kind === 'int2' || kind === 'int4'
        ? int32Vector(type, values, validity)
        : printed(type, read, int32Vector(read, values, validity));
    }
    case forms.int64: {
      const values = new BigInt64Array(buffer, byteOffset + first, rows);
      return kind === 'int8' ? bigint64Vector(type, values, validity) : printed(type, read, bigint64Vector(read, values, validity));
    }
    case forms.float64: {
      const values = new Float64Array(buffer, byteOffset + first, rows);
      const isFloat = kind === 'float4' || kind === 'float8';
      return isFloat ? float64Vector(type, values, validity) : printed(type, read, float64Vector(read, values, validity));
    }
    case forms.bytes: {
      const starts = new Int32Array(buffer, byteOffset + first, rows);
      const lengths = new Int32Array(buffer, byteOffset + second, rows);
      const encoding = baseType(read).kind === 'bytea' && kind === 'bytea' ? 'pg-binary' : 'text';
      return encodedVector(type, { encoding, data, starts, lengths, stride: 1, offset: 0 }, rows, decode);
    }
    default:
      throw corrupt(`a column of form ${form} came`);
  }
}

/** Numbers that a declaration wants as text: as Postgres prints them. */
function printed(type: ColumnType, read: ColumnType, vector: Vector): Vector {
  const { print } = textCodec(read);
  return valuesVector(
    type,
    Array.from({ length: vector.length }, (_, row) => (vector.isNull(row) ? null : print(vector.get(row)))),
  );
}

/** Batches to frames, for columns in this order. One for each load: it keeps its printers. */
export function batchWriter(columns: readonly ColumnSchema[]): (batch: ColumnBatch) => Buffer {
  const printers = new Map<ColumnType, (value: unknown) => string>();
  const printerOf = (type: ColumnType): ((value: unknown) => string) => {
    const known = printers.get(type) ?? encodeText(type);
    printers.set(type, known);
    return known;
  };
  return (batch) => {
    const parts = columns.map(({ name, type }) => {
      const at = batch.schema.columns.findIndex((column) => column.name === name);
      const vector = batch.vectors[at];
      if (!vector)
        throw new MillraceError('INTERNAL', { message: `A batch has no column "${name}" to write.`, remedy: 'Please report it.' });
      const numbers = numbersOf(type, vector);
      return numbers ? { ...numbers, bytes: null, starts: null } : bytesPart(name, vector, printerOf(vector.type));
    });
    return assembled(batch.rowCount, parts);
  };
}

/** Arrays of a column, in the order in which they stand, and bytes that `starts` count from. */
interface Part {
  readonly form: number;
  readonly first: Uint8Array;
  readonly second: Uint8Array | null;
  readonly bytes: Uint8Array | null;
  readonly starts: Int32Array | null;
}

/** Of a column of fixed width, whatever narrower type its vector has. */
function numbersOf(type: ColumnType, vector: Vector): Pick<Part, 'form' | 'first' | 'second'> | null {
  const { kind } = baseType(type);
  const form =
    kind === 'int8'
      ? forms.int64
      : kind === 'int2' || kind === 'int4'
        ? forms.int32
        : kind === 'float4' || kind === 'float8'
          ? forms.float64
          : null;
  const typed = form && typedValues(vector);
  if (!form || !typed) return null;
  const { values, validity } = typed;
  const fits =
    form === forms.int64
      ? values instanceof BigInt64Array
      : form === forms.int32
        ? values instanceof Int32Array
        : values instanceof Float64Array;
  const wide = fits
    ? values
    : form === forms.int64
      ? BigInt64Array.from(values as Int32Array, BigInt)
      : Float64Array.from(values as Int32Array);
  return { form, first: bytesIn(wide), second: validity ?? null };
}

function bytesPart(name: string, vector: Vector, print: (value: unknown) => string): Part {
  const isBytes = baseType(vector.type).kind === 'bytea';
  const starts = new Int32Array(vector.length);
  const lengths = new Int32Array(vector.length);
  let out = Buffer.allocUnsafe(Math.max(1024, vector.length * 16));
  let at = 0;
  const room = (more: number): void => {
    if (out.length - at >= more) return;
    const larger = Buffer.allocUnsafe(Math.max(out.length * 2, at + more));
    out.copy(larger, 0, 0, at);
    out = larger;
  };
  const text = vector.encoded?.encoding === 'text' && !isBytes ? vector.encoded : null;
  for (let row = 0; row < vector.length; row++) {
    starts[row] = at;
    if (vector.isNull(row)) {
      lengths[row] = -1;
      continue;
    }
    if (text) {
      const place = row * text.stride + text.offset;
      const length = text.lengths[place]!;
      room(length);
      text.data.copy(out, at, text.starts[place]!, text.starts[place]! + length);
      at += length;
    } else {
      try {
        const value = vector.get(row);
        if (isBytes) {
          const bytes = value as Uint8Array;
          room(bytes.length);
          out.set(bytes, at);
          at += bytes.length;
        } else {
          const printed = print(value);
          room(3 * printed.length);
          at += out.write(printed, at, 'utf8');
        }
      } catch (error) {
        throw inColumn(name, error);
      }
    }
    lengths[row] = at - starts[row]!;
  }
  return { form: forms.bytes, first: bytesIn(starts), second: bytesIn(lengths), bytes: out.subarray(0, at), starts };
}

const bytesIn = ({ buffer, byteOffset, byteLength }: NodeJS.TypedArray): Uint8Array => new Uint8Array(buffer, byteOffset, byteLength);
const aligned = (at: number): number => (at + 7) & ~7;

function assembled(rows: number, parts: readonly Part[]): Buffer {
  let length = headBytes;
  const places = parts.map((part) => {
    const bytes = length;
    const first = aligned(bytes + (part.bytes?.length ?? 0));
    const second = part.second ? aligned(first + part.first.length) : 0;
    length = part.second ? aligned(second + part.second.length) : aligned(first + part.first.length);
    return { bytes, first, second };
  });
  const directory = length;
  const frame = Buffer.alloc(directory + 16 * parts.length);
  frame.writeInt32LE(rows, 0);
  frame.writeInt32LE(parts.length, 4);
  frame.writeInt32LE(directory, 8);
  for (const [index, part] of parts.entries()) {
    const { bytes, first, second } = places[index]!;
    if (part.starts) for (let row = 0; row < rows; row++) part.starts[row]! += bytes;
    if (part.bytes) frame.set(part.bytes, bytes);
    frame.set(part.first, first);
    if (part.second) frame.set(part.second, second);
    frame.writeInt32LE(part.form, directory + 16 * index);
    frame.writeInt32LE(first, directory + 16 * index + 4);
    frame.writeInt32LE(second, directory + 16 * index + 8);
  }
  return frame;
}

const corrupt = (what: string): MillraceError =>
  new MillraceError('WIRE_CORRUPT', {
    message: `The Java process sent rows that cannot be read: ${what}.`,
    remedy: 'The part is read again. If it happens each time, please report it.',
  });
