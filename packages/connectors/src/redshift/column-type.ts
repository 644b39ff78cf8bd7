import { baseType, type ColumnSchema, type ColumnType, type FilesRef } from '@millrace/core/runtime';

/** The widest text of Redshift, in bytes. */
const widestText = 65_535;
/** A character of UTF-8 has up to four bytes, and Redshift counts bytes. */
const bytesOf = (characters: number): number => Math.min(characters * 4, widestText);

/**
 * Redshift's type for a column. Types it does not have are text as Postgres prints it, json becomes SUPER.
 *
 * | column                                | Redshift                    |
 * |---------------------------------------|-----------------------------|
 * | bool, int2, int4, int8                | boolean, smallint, integer, bigint |
 * | float4, float8                        | real, double precision      |
 * | numeric(p ≤ 38, s)                    | numeric(p, s)               |
 * | date, time, timetz, timestamp(tz)     | the same, microseconds      |
 * | varchar(n), char(n)                   | varchar(4 n): it counts bytes |
 * | text, numeric without precision, arrays, ranges, interval, inet, bit, all others | varchar(65535) |
 * | enums, uuid                           | varchar(256), varchar(36)   |
 * | json, jsonb                           | super                       |
 * | bytea                                 | varbyte(1024000)            |
 */
export function redshiftType(declared: ColumnType): string {
  const type = baseType(declared);
  switch (type.kind) {
    case 'bool':
      return 'boolean';
    case 'int2':
      return 'smallint';
    case 'int4':
      return 'integer';
    case 'int8':
      return 'bigint';
    case 'float4':
      return 'real';
    case 'float8':
      return 'double precision';
    case 'numeric':
      return isDecimal(type) ? `numeric(${type.precision},${type.scale ?? 0})` : `varchar(${widestText})`;
    case 'date':
    case 'time':
    case 'timetz':
    case 'timestamp':
    case 'timestamptz':
      return type.kind;
    case 'varchar':
      return `varchar(${type.length === undefined ? widestText : bytesOf(type.length)})`;
    case 'char':
      return `varchar(${bytesOf(type.length)})`;
    case 'enum':
      return 'varchar(256)';
    case 'uuid':
      return 'varchar(36)';
    case 'json':
    case 'jsonb':
      return 'super';
    case 'bytea':
      return 'varbyte(1024000)';
    default:
      return `varchar(${widestText})`;
  }
}

/** True where Redshift's numeric holds every value. */
export function isDecimal(type: ColumnType): type is Extract<ColumnType, { kind: 'numeric' }> & { precision: number } {
  if (type.kind !== 'numeric' || type.precision === undefined) return false;
  const scale = type.scale ?? 0;
  return type.precision <= 38 && scale >= 0 && scale <= Math.min(37, type.precision);
}

/** How a column of a file lands in a staging table, and what brings it from there into the table. */
export interface LandedColumn {
  readonly type: string;
  /** `c` is the quoted column of the staging table. */
  readonly value: (c: string) => string;
}

/** Null where COPY cannot read the column from such a file. */
export function landed({ type: declared }: ColumnSchema, format: FilesRef['format']): LandedColumn | null {
  const type = baseType(declared);
  const text = { type: `varchar(${widestText})`, value: (c: string) => c };
  switch (type.kind) {
    // COPY knows no TIME and no UUID of Parquet.
    case 'time':
      return format === 'parquet' ? null : { type: 'time', value: (c) => c };
    case 'uuid':
      return format === 'parquet' ? null : { type: 'varchar(36)', value: (c) => c };
    case 'timetz':
      return format === 'parquet' ? { ...text, value: (c) => `CAST(${c} AS timetz)` } : { type: 'timetz', value: (c) => c };
    // In Parquet a timestamptz is a timestamp that is adjusted to UTC.
    case 'timestamptz':
      return format === 'parquet'
        ? { type: 'timestamp', value: (c) => `${c} AT TIME ZONE 'UTC'` }
        : { type: 'timestamptz', value: (c) => c };
    case 'json':
    case 'jsonb':
      return { ...text, value: (c) => `JSON_PARSE(${c})` };
    // Text formats write \x and hexadecimal digits.
    case 'bytea':
      return format === 'parquet'
        ? { type: redshiftType(type), value: (c) => c }
        : { ...text, value: (c) => `FROM_HEX(SUBSTRING(${c}, 3))` };
    default:
      return { type: redshiftType(type), value: (c) => c };
  }
}
