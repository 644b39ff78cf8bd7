import { baseType, type ColumnType, conform, encodeText } from '@millrace/core/runtime';
import { encodeArray } from './array.ts';
import { dateWriter, stampWriter, timetzWriter, timeWriter, type Write } from './clock-writer.ts';
import { elementOid, formOf } from './form.ts';
import { encodeInterval } from './interval.ts';
import { encodeBits, encodeMac, networkEncoder } from './network.ts';
import { encodeNumeric, encodeShortNumeric, numericRoom } from './numeric.ts';
import { Output } from './output.ts';

/** Writes values of a type in the form in which COPY BINARY carries it (`formOf`), with the checks of the text encoder. */
export function valueWriter(type: ColumnType): Write {
  if (formOf(type) === 'text') {
    const print = encodeText(type);
    return (value, out) => writeText(print(value), out);
  }
  const base = baseType(type);
  const fitting = conform(type);
  switch (base.kind) {
    case 'bool':
      return (value, out) => {
        out.room(5);
        out.int32(1);
        out.bytes[out.at++] = fitting(value) ? 1 : 0;
      };
    case 'int2':
      return (value, out) => {
        out.room(6);
        out.int32(2);
        out.int16(fitting(value) as number);
      };
    case 'int4':
      return (value, out) => {
        out.room(8);
        out.int32(4);
        out.int32(typeof value === 'number' && (value | 0) === value ? value : (fitting(value) as number));
      };
    case 'int8':
      return (value, out) => {
        out.room(12);
        out.int32(8);
        out.bigint64(typeof value === 'bigint' && BigInt.asIntN(64, value) === value ? value : (fitting(value) as bigint));
      };
    case 'float4':
      return (value, out) => {
        out.room(8);
        out.int32(4);
        out.float32(fitting(value) as number);
      };
    case 'float8':
      return (value, out) => {
        out.room(12);
        out.int32(8);
        out.float64(typeof value === 'number' ? value : (fitting(value) as number));
      };
    case 'numeric':
      return (value, out) => {
        if (typeof value === 'string') {
          out.room(32);
          const short = encodeShortNumeric(
            value,
            base.precision,
            base.precision === undefined ? undefined : (base.scale ?? 0),
            out.bytes,
            out.at + 4,
          );
          if (short > 0) {
            out.int32(short);
            out.at += short;
            return;
          }
        }
        const text = fitting(value) as string;
        out.room(4 + numericRoom(text));
        const length = encodeNumeric(text, out.bytes, out.at + 4);
        out.int32(length);
        out.at += length;
      };
    case 'date':
      return dateWriter(type);
    case 'time':
      return timeWriter(type);
    case 'timetz':
      return timetzWriter(type);
    case 'timestamp':
    case 'timestamptz':
      return stampWriter({ ...base, kind: base.kind });
    case 'text':
    case 'varchar':
      return textWriter(fitting as (value: unknown) => string, 0, base.kind === 'varchar' ? base.length : undefined);
    case 'char':
      return textWriter(fitting as (value: unknown) => string, base.length, base.length);
    case 'json':
      return (value, out) => writeText(fitting(value) as string, out);
    case 'enum':
      return labelWriter(base.labels, fitting as (value: unknown) => string);
    case 'jsonb':
      return (value, out) => {
        const text = fitting(value) as string;
        out.room(5 + 3 * text.length);
        const length = out.bytes.write(text, out.at + 5, 'utf8');
        out.int32(length + 1);
        out.bytes[out.at] = 1;
        out.at += length + 1;
      };
    case 'bytea':
      return (value, out) => writeBytes(bufferOf(fitting(value) as Uint8Array), out);
    case 'uuid':
      return (value, out) => {
        out.room(20);
        out.int32(16);
        out.bytes.write((fitting(value) as string).replaceAll('-', ''), out.at, 'hex');
        out.at += 16;
      };
    case 'interval':
      return written((value) => encodeInterval(fitting(value) as string));
    case 'inet':
    case 'cidr': {
      const encode = networkEncoder(base.kind);
      return written((value) => encode(fitting(value) as string));
    }
    case 'macaddr':
    case 'macaddr8':
      return written((value) => encodeMac(fitting(value) as string));
    case 'bit':
    case 'varbit':
      return written((value) => encodeBits(fitting(value) as string));
    case 'array': {
      const element = valueWriter(base.of);
      const oid = elementOid(base.of) ?? 0;
      return written((value) => encodeArray(fitting(value) as unknown[], oid, (item) => elementBytes(element, item)));
    }
    case 'range':
    case 'other':
      return (value, out) => writeText(fitting(value) as string, out);
    default:
      return base satisfies never;
  }
}

const written =
  (encode: (value: unknown) => Buffer): Write =>
  (value, out) =>
    writeBytes(encode(value), out);

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function writeBytes(bytes: Buffer, out: Output): void {
  out.room(4 + bytes.length);
  out.int32(bytes.length);
  out.copy(bytes, 0, bytes.length);
}

function writeText(text: string, out: Output): void {
  out.room(4 + 3 * text.length);
  const length = out.bytes.write(text, out.at + 4, 'utf8');
  out.int32(length);
  out.at += length;
}

/** Most text is short and ASCII: written without a call to the engine, and found free of what databases refuse on the way. */
function textWriter(fitting: (value: unknown) => string, least: number, limit = 64): Write {
  const most = Math.min(limit, 64);
  return (value, out) => {
    if (typeof value === 'string' && value.length <= most && value.length >= least) {
      const size = value.length;
      out.room(4 + size);
      const to = out.at + 4;
      let at = 0;
      for (; at < size; at++) {
        const code = value.charCodeAt(at);
        if (code > 127 || code === 0) break;
        out.bytes[to + at] = code;
      }
      if (at === size) {
        out.int32(size);
        out.at += size;
        return;
      }
    }
    writeText(fitting(value), out);
  };
}

function labelWriter(labels: readonly string[], fitting: (value: unknown) => string): Write {
  const known = new Map(labels.map((label) => [label, Buffer.from(label)]));
  return (value, out) => writeBytes(known.get(value as string) ?? Buffer.from(fitting(value)), out);
}

const single = new Output(256);

function elementBytes(write: Write, value: unknown): Buffer {
  single.at = 0;
  write(value, single);
  return Buffer.from(single.bytes.subarray(4, single.at));
}
