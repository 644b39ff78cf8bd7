import { baseType, type ColumnType, MillraceError } from '@millrace/core/runtime';
import { inflateValue } from './compressed.ts';
import { decimalBytes, decimalReader } from './decimal.ts';
import { jsonText } from './json.ts';
import { enumeration, setOfLabels } from './label-field.ts';
import { bitReader, boolReader, floatReader, hex, integerReader } from './plain-values.ts';
import { type Field, type FieldSetting, misfit, sized, unreadable } from './reading.ts';
import type { ReadValue, Scratch } from './scratch.ts';
import { fieldTypes, type LogColumn } from './table-map.ts';
import {
  dateReader,
  datetimeReader,
  oldDatetimeReader,
  oldTimeReader,
  readYear,
  type TimeValue,
  timeReader,
  timestampReader,
  writeInterval,
  writeTimeOfDay,
} from './temporal.ts';
import { characters } from './text-field.ts';

/**
 * How a column is read as a type that its table is declared with; or, where it is not declared or cannot be read so, as the type that is its own.
 *
 * @throws UNSUPPORTED for columns that nobody can read
 */
export function fieldOf(column: LogColumn, declared: ColumnType | null, setting: FieldSetting): Field {
  const wanted = declared === null ? null : baseType(declared);
  const is = (...kinds: ColumnType['kind'][]): boolean => wanted !== null && kinds.includes(wanted.kind);
  const { size, scale, isUnsigned } = column;
  const fixed = (type: ColumnType, bytes: number, read: ReadValue): Field => ({ type, read, skip: (_, at) => at + bytes });
  const whole = (type: ColumnType, bytes: number): Field => fixed(type, bytes, integerReader(bytes, isUnsigned));
  switch (column.type) {
    case fieldTypes.tiny:
      if (is('bool')) return fixed({ kind: 'bool' }, 1, boolReader(setting.shown));
      return whole({ kind: 'int2' }, 1);
    case fieldTypes.short:
      return whole({ kind: isUnsigned ? 'int4' : 'int2' }, 2);
    case fieldTypes.int24:
      return whole({ kind: 'int4' }, 3);
    case fieldTypes.long:
      return whole({ kind: isUnsigned ? 'int8' : 'int4' }, 4);
    case fieldTypes.longlong:
      return whole(isUnsigned ? { kind: 'numeric', precision: 20, scale: 0 } : { kind: 'int8' }, 8);
    case fieldTypes.float:
      return fixed({ kind: 'float4' }, 4, floatReader('float4'));
    case fieldTypes.double:
      return fixed({ kind: 'float8' }, 8, floatReader('float8'));
    case fieldTypes.decimal:
      return fixed({ kind: 'numeric', precision: size, scale }, decimalBytes(size, scale), decimalReader(size, scale));
    case fieldTypes.year:
      return fixed({ kind: 'int2' }, 1, readYear);
    case fieldTypes.date:
      return fixed({ kind: 'date' }, 3, dateReader(setting.zeroDate));
    case fieldTypes.datetime2:
      return fixed(clock('timestamp', size), 5 + ((size + 1) >> 1), datetimeReader(size, setting.zeroDate));
    case fieldTypes.timestamp2:
      return fixed(clock('timestamptz', size), 4 + ((size + 1) >> 1), timestampReader(size, setting.zeroDate));
    case fieldTypes.time2: {
      const time = timeOf(wanted, setting.shown);
      return fixed(time.type, 3 + ((size + 1) >> 1), timeReader(size, time.write));
    }
    case fieldTypes.datetime:
      return fixed({ kind: 'timestamp', precision: 0 }, 8, notHires(setting, oldDatetimeReader(setting.zeroDate)));
    case fieldTypes.timestamp:
      return fixed({ kind: 'timestamptz', precision: 0 }, 4, notHires(setting, timestampReader(0, setting.zeroDate, true)));
    case fieldTypes.time: {
      const time = timeOf(wanted, setting.shown);
      return fixed(time.type, 3, notHires(setting, oldTimeReader(time.write)));
    }
    case fieldTypes.bit: {
      const bytes = (size + 7) >> 3;
      if (size === 1 && is('bool')) return fixed({ kind: 'bool' }, bytes, boolReader(setting.shown));
      return fixed({ kind: 'bit', length: size }, bytes, bitReader(size));
    }
    case fieldTypes.enum:
      return fixed(...enumeration(column, wanted, setting));
    case fieldTypes.set:
      return fixed(...setOfLabels(column, setting));
    case fieldTypes.json:
      return sized(is('jsonb') ? { kind: 'jsonb' } : { kind: 'json' }, size, (from, start, end, out) =>
        out.utf8(jsonText(from.subarray(start, end))),
      );
    case fieldTypes.geometry:
      // Four bytes of SRID, then WKB.
      return sized({ kind: 'bytea' }, size, (from, start, end, out) => hex(from, Math.min(start + 4, end), end, out));
    case fieldTypes.vector:
      return sized({ kind: 'bytea' }, size, hex);
    case fieldTypes.string:
      return characters(column, wanted, size > 255 ? 2 : 1, setting);
    case fieldTypes.varchar:
      return characters(column, wanted, size > 255 ? 2 : 1, setting);
    case fieldTypes.blob:
      return characters(column, wanted, size, setting);
    case fieldTypes.varcharCompressed:
      return characters(column, wanted, size > 255 ? 2 : 1, setting, inflateValue);
    case fieldTypes.blobCompressed:
      return characters(column, wanted, size, setting, inflateValue);
    default:
      throw unreadable(setting.shown, `a type (${column.type}) that is not known`);
  }
}

const clock = (kind: 'timestamp' | 'timestamptz', decimals: number): ColumnType =>
  decimals >= 6 ? { kind } : { kind, precision: decimals };

/** A length of time, but where times of a day are declared. */
function timeOf(
  wanted: ColumnType | null,
  column: string,
): { readonly type: ColumnType; readonly write: (out: Scratch, time: TimeValue) => void } {
  return wanted?.kind === 'time'
    ? { type: wanted, write: writeTimeOfDay((text) => misfit(column, text, 'time of a day', 'interval()')) }
    : { type: { kind: 'interval' }, write: writeInterval };
}

/** MariaDB wrote times with decimals under the same types before 10.0, and the log does not tell them apart. */
function notHires({ isMariaDb, shown }: FieldSetting, read: ReadValue): ReadValue {
  if (!isMariaDb) return read;
  throw new MillraceError('UNSUPPORTED', {
    message: `${shown} keeps its times in the format of MariaDB 5.3, which a binary log does not tell from that of MySQL 5.5.`,
    remedy: 'SET GLOBAL mysql56_temporal_format = ON, then ALTER TABLE … FORCE, which writes the table anew.',
    facts: { column: shown },
  });
}
