import { baseType, type ColumnType, type Decode, decodeText, MillraceError, stringDecoder, typeName, utf8 } from '@millrace/core/runtime';
import { arrayDecoder } from './array.ts';
import { decodeDate, decodeTime, decodeTimetz, stampDecoder } from './clock.ts';
import { int16, int32, int64 } from './field.ts';
import { formOf } from './form.ts';
import { decodeInterval } from './interval.ts';
import { decodeBits, decodeMac, networkDecoder } from './network.ts';
import { decodeNumeric } from './numeric.ts';
import { corrupt } from './scan.ts';

/** Bytes of a COPY BINARY field to the value of `schema/column.ts`. One for each column and split: strings are remembered. */
export function binaryDecoder(type: ColumnType): Decode {
  return formOf(type) === 'text' ? decodeText(type) : sized(type, native(type));
}

function native(type: ColumnType): Decode {
  const base = baseType(type);
  switch (base.kind) {
    case 'bool':
      return (b, start) => b[start] !== 0;
    case 'int2':
      return int16;
    case 'int4':
      return int32;
    case 'int8':
      return int64;
    case 'float4':
      return (b, start) => b.readFloatBE(start);
    case 'float8':
      return (b, start) => b.readDoubleBE(start);
    case 'numeric':
      return decodeNumeric;
    case 'date':
      return decodeDate;
    case 'time':
      return decodeTime;
    case 'timetz':
      return decodeTimetz;
    case 'timestamp':
      return stampDecoder(false);
    case 'timestamptz':
      return stampDecoder(true);
    case 'interval':
      return decodeInterval;
    case 'uuid':
      return decodeUuid;
    case 'bytea':
      return (b, start, end) => new Uint8Array(b.subarray(start, end));
    case 'json':
      return utf8;
    case 'jsonb':
      return (b, start, end) => {
        if (b[start] !== 1) throw corrupt(`jsonb comes in version ${b[start]}`);
        return utf8(b, start + 1, end);
      };
    case 'inet':
    case 'cidr':
      return networkDecoder(base.kind);
    case 'macaddr':
    case 'macaddr8':
      return decodeMac;
    case 'bit':
    case 'varbit':
      return decodeBits;
    case 'text':
    case 'varchar':
    case 'char':
    case 'enum':
      return stringDecoder();
    case 'array':
      return arrayDecoder(binaryDecoder(base.of));
    case 'range':
    case 'other':
      throw new MillraceError('INTERNAL', { message: `${typeName(type)} has no binary form here.`, remedy: 'Please report it.' });
    default:
      return base satisfies never;
  }
}

function decodeUuid(b: Buffer, start: number, end: number): string {
  const hex = b.toString('hex', start, end);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

const widths: Partial<Record<ColumnType['kind'], number>> = {
  bool: 1,
  int2: 2,
  int4: 4,
  int8: 8,
  float4: 4,
  float8: 8,
  date: 4,
  time: 8,
  timetz: 12,
  timestamp: 8,
  timestamptz: 8,
  interval: 16,
  uuid: 16,
  macaddr: 6,
  macaddr8: 8,
};

/** A field of another width is of another type: the table changed under the reader. */
function sized(type: ColumnType, decode: Decode): Decode {
  const width = widths[baseType(type).kind];
  if (width === undefined) return decode;
  return (b, start, end) => {
    if (end - start !== width) throw corrupt(`a ${typeName(type)} has ${end - start} bytes`);
    return decode(b, start, end);
  };
}
