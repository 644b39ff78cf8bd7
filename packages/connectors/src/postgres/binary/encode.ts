import {
  baseType,
  type ColumnBatch,
  type ColumnSchema,
  type ColumnType,
  type EncodedValues,
  fidelity,
  inColumn,
  MillraceError,
  type Vector,
} from '@millrace/core/runtime';
import type { Write } from './clock-writer.ts';
import { formOf } from './form.ts';
import { Output } from './output.ts';
import { isContiguous, signature } from './scan.ts';
import { valueWriter } from './value-writer.ts';

/** Batches to the bytes of COPY BINARY, for one split. */
export interface BinaryEncoder {
  /** Before the first row. */
  readonly header: Buffer;
  /** After the last row. */
  readonly trailer: Buffer;
  /**
   * The rows of a batch in pieces of about 256 KiB. A row that does not fit its columns goes to `reject`, or throws where there
   * is none.
   *
   * @throws TYPE_MISMATCH, with column and row
   */
  encode(batch: ColumnBatch, reject?: (row: number, error: MillraceError) => void): Iterable<Buffer>;
}

const pieceBytes = 256 * 1024;

/**
 * `columns` are those of the COPY, in its order, each found in the batch by its name. A type without a binary form of its own
 * here (`formOf`) is written as text: its column must take text.
 */
export function binaryEncoder(columns: readonly ColumnSchema[]): BinaryEncoder {
  const writers = columns.map(({ type }) => valueWriter(type));
  return {
    header: Buffer.concat([signature, Buffer.alloc(8)]),
    trailer: Buffer.from([0xff, 0xff]),
    *encode(batch, reject) {
      const parts = partsOf(batch, columns, writers);
      const out = new Output(pieceBytes + 4096);
      for (let row = 0; row < batch.rowCount; row++) {
        const begin = out.at;
        try {
          out.room(2);
          out.int16(columns.length);
          for (const part of parts) part.write(row, out);
        } catch (error) {
          out.at = begin;
          const told = atRow(row, error);
          if (!reject) throw told;
          reject(row, told);
        }
        if (out.at >= pieceBytes) yield out.take();
      }
      if (out.at > 0) yield out.bytes.subarray(0, out.at);
    },
  };
}

interface Part {
  write(row: number, out: Output): void;
}

/** Neighbours that nobody touched become one run; the others are written one by one. */
function partsOf(batch: ColumnBatch, columns: readonly ColumnSchema[], writers: readonly Write[]): Part[] {
  const places = new Map(batch.schema.columns.map(({ name }, index) => [name, index]));
  const sources = columns.map((column) => {
    const vector = batch.vectors[places.get(column.name) ?? -1];
    if (!vector)
      throw new MillraceError('INTERNAL', { message: `A batch has no column "${column.name}" to write.`, remedy: 'Please report it.' });
    return { column, vector };
  });
  const parts: Part[] = [];
  for (let at = 0; at < sources.length; ) {
    const { column, vector } = sources[at]!;
    const encoded = sliceable(vector, column.type);
    if (!encoded) {
      parts.push(new ValuePart(column, vector, writers[at]!));
      at++;
      continue;
    }
    let end = at + 1;
    while (
      end < sources.length &&
      isContiguous(encoded.data) &&
      follows(encoded, end - at, sliceable(sources[end]!.vector, sources[end]!.column.type))
    )
      end++;
    const names = sources.slice(at, end).map((source) => source.column);
    parts.push(isContiguous(encoded.data) ? new RunPart(names, encoded, end - at) : new SlicePart(column, encoded));
    at = end;
  }
  return parts;
}

/** The bytes of a vector, where they are already what the column's COPY wants. */
function sliceable(vector: Vector, to: ColumnType): EncodedValues | undefined {
  const { encoded } = vector;
  if (!encoded) return undefined;
  return samePresentation(vector.type, encoded.encoding, to) ? encoded : undefined;
}

const characters = new Set(['text', 'varchar', 'char', 'json', 'enum']);

function samePresentation(from: ColumnType, encoding: EncodedValues['encoding'], to: ColumnType): boolean {
  const a = baseType(from);
  const b = baseType(to);
  if (fidelity(a, b) === 'lossy') return false;
  if (characters.has(a.kind) && characters.has(b.kind)) return true;
  if (encoding === 'text') return formOf(b) === 'text' || b.kind === 'text' || b.kind === 'varchar';
  if (a.kind === 'array' && b.kind === 'array') return a.of.kind === b.of.kind && formOf(a) === 'native';
  return a.kind === b.kind;
}

function follows(first: EncodedValues, by: number, next: EncodedValues | undefined): boolean {
  return next !== undefined && next.starts === first.starts && next.data === first.data && next.offset === first.offset + by;
}

/** Fields that stand one after another in the row they came in, each behind its length: copied in one piece. */
class RunPart implements Part {
  readonly #encoded: EncodedValues;
  readonly #count: number;
  readonly #required: readonly { readonly index: number; readonly column: ColumnSchema }[];

  constructor(columns: readonly ColumnSchema[], encoded: EncodedValues, count: number) {
    this.#encoded = encoded;
    this.#count = count;
    this.#required = columns.flatMap((column, index) => (column.nullable ? [] : [{ index, column }]));
  }

  write(row: number, out: Output): void {
    const { data, starts, lengths, stride, offset } = this.#encoded;
    const first = row * stride + offset;
    for (let required = 0; required < this.#required.length; required++) {
      const { index, column } = this.#required[required]!;
      if (lengths[first + index]! < 0) throw missing(column);
    }
    const last = first + this.#count - 1;
    const from = starts[first]! - 4;
    const size = starts[last]! + Math.max(lengths[last]!, 0) - from;
    out.room(size);
    out.copy(data, from, size);
  }
}

class SlicePart implements Part {
  readonly #column: ColumnSchema;
  readonly #encoded: EncodedValues;

  constructor(column: ColumnSchema, encoded: EncodedValues) {
    this.#column = column;
    this.#encoded = encoded;
  }

  write(row: number, out: Output): void {
    const { data, starts, lengths, stride, offset } = this.#encoded;
    const at = row * stride + offset;
    const length = lengths[at]!;
    if (length < 0 && !this.#column.nullable) throw missing(this.#column);
    out.room(4 + Math.max(length, 0));
    out.int32(length);
    if (length > 0) out.copy(data, starts[at]!, length);
  }
}

class ValuePart implements Part {
  readonly #column: ColumnSchema;
  readonly #vector: Vector;
  readonly #write: Write;

  constructor(column: ColumnSchema, vector: Vector, write: Write) {
    this.#column = column;
    this.#vector = vector;
    this.#write = write;
  }

  write(row: number, out: Output): void {
    const value = this.#vector.get(row);
    if (value === null) {
      if (!this.#column.nullable) throw missing(this.#column);
      out.room(4);
      out.int32(-1);
      return;
    }
    try {
      this.#write(value, out);
    } catch (error) {
      throw inColumn(this.#column.name, error);
    }
  }
}

const missing = ({ name }: ColumnSchema): MillraceError =>
  new MillraceError('TYPE_MISMATCH', {
    message: `Column "${name}": the value is NULL, and the column must not be.`,
    remedy: 'Declare the column orNull(), give the row a value, or set such rows aside with onBadRow.',
    facts: { column: name },
  });

function atRow(row: number, error: unknown): MillraceError {
  if (!(error instanceof MillraceError)) throw error;
  return new MillraceError(error.code, {
    message: `Row ${row}: ${error.message}`,
    remedy: error.remedy,
    facts: { ...error.facts, row },
    cause: error.cause,
  });
}
