import { ascii, baseType, type ColumnBatch, type ColumnType, inColumn, type Vector } from '@millrace/core/runtime';
import { fieldText, keepsParsedJson, refuse } from './field.ts';
import type { Landing, LandingColumn } from './landing.ts';

/**
 * Rows as LOAD DATA reads them: tabs between fields, line feeds between rows, `\N` for NULL, and a backslash before what would be one of
 * these. Bytes that are text of Postgres already are copied.
 */
export const loadFormat = `CHARACTER SET utf8mb4 FIELDS TERMINATED BY x'09' ESCAPED BY x'5C' LINES TERMINATED BY x'0A'`;

const firstBuffer = 320 * 1024;
const chunkBytes = 256 * 1024;

/** Encodes batch after batch; each call gives all the bytes of its batch. */
export function tsvEncoder({ columns }: Landing): (batch: ColumnBatch) => Generator<Buffer, void, undefined> {
  const writers = columns.map(writerOf);
  const out = new TsvBuffer();
  return function* ({ vectors, rowCount }) {
    const fields = columns.map(({ place }, at) => writers[at]!(vectors[place]!));
    for (let row = 0; row < rowCount; row++) {
      for (let at = 0; at < fields.length; at++) {
        if (at > 0) out.byte(tab);
        try {
          fields[at]!(out, row);
        } catch (error) {
          throw inColumn(columns[at]!.name, error);
        }
      }
      out.byte(lineFeed);
      if (out.length >= chunkBytes) yield out.take();
    }
    if (out.length > 0) yield out.take();
  };
}

type WriteField = (out: TsvBuffer, row: number) => void;

function writerOf(column: LandingColumn): (vector: Vector) => WriteField {
  const text = fieldText(column);
  const copy = keepsParsedJson(column.target) ? undefined : copyOf(column.type);
  return (vector) => {
    const { encoded } = vector;
    if (!copy || encoded?.encoding !== 'text') {
      return (out, row) => {
        const value = text(vector, row);
        if (value === null) out.null();
        else out.text(value);
      };
    }
    const { data, starts, lengths, stride, offset } = encoded;
    return (out, row) => {
      const at = row * stride + offset;
      const length = lengths[at]!;
      if (length < 0) out.null();
      else copy(out, data, starts[at]!, length);
    };
  };
}

type Copy = (out: TsvBuffer, data: Buffer, start: number, length: number) => void;

/** How the text of a type that Postgres prints goes over as bytes. Types without an entry are printed anew. */
function copyOf(type: ColumnType): Copy | undefined {
  switch (baseType(type).kind) {
    case 'int2':
    case 'int4':
    case 'int8':
    case 'uuid':
    case 'time':
      return (out, data, start, length) => out.copy(data, start, length);
    case 'numeric':
    case 'float8':
      // NaN, Infinity, -Infinity end in a letter.
      return (out, data, start, length) => {
        if (data[start + length - 1]! > nine) refuse(type, ascii(data, start, start + length));
        out.copy(data, start, length);
      };
    case 'date':
    case 'timestamp':
    case 'timestamptz': {
      const suffix = baseType(type).kind === 'timestamptz' ? 3 : 0;
      return (out, data, start, length) => {
        if (data[start + 4] !== 45 || data[start + length - 1]! > nine) refuse(type, ascii(data, start, start + length));
        out.copy(data, start, length - suffix);
      };
    }
    case 'bool':
      return (out, data, start) => out.byte(data[start] === 116 ? nine - 8 : nine - 9);
    case 'bytea':
      return (out, data, start, length) => out.copy(data, start + 2, length - 2);
    case 'text':
    case 'varchar':
    case 'char':
    case 'json':
    case 'jsonb':
    case 'enum':
      return (out, data, start, length) => out.escaped(data, start, length);
    default:
      return undefined;
  }
}

const tab = 9;
const lineFeed = 10;
const backslash = 92;
const nine = 57;
/** What stands behind a backslash for a byte that cannot stand alone; 0 for all others. */
const escapes = new Uint8Array(256);
escapes[0] = 48;
escapes[tab] = 116;
escapes[lineFeed] = 110;
escapes[13] = 114;
escapes[backslash] = backslash;

class TsvBuffer {
  length = 0;
  #bytes = Buffer.allocUnsafeSlow(firstBuffer);

  byte(value: number): void {
    if (this.length === this.#bytes.length) this.#grow(1);
    this.#bytes[this.length++] = value;
  }

  null(): void {
    this.byte(backslash);
    this.byte(78);
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

  escaped(data: Buffer, start: number, length: number): void {
    // Twice the length where every byte is a tab.
    if (this.length + 2 * length > this.#bytes.length) this.#grow(2 * length);
    const bytes = this.#bytes;
    let to = this.length;
    for (let at = start; at < start + length; at++) {
      const byte = data[at]!;
      const marked = escapes[byte]!;
      if (marked === 0) bytes[to++] = byte;
      else {
        bytes[to++] = backslash;
        bytes[to++] = marked;
      }
    }
    this.length = to;
  }

  text(text: string): void {
    const bytes = Buffer.from(text);
    this.escaped(bytes, 0, bytes.length);
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
