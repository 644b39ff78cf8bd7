import { baseType, type ColumnType, typeName } from '@millrace/core/runtime';
import { refuse } from './sql.ts';

/**
 * Column types in files. This table is the manual; `types.test.ts` holds it against real files.
 *
 * | column                         | Parquet (DuckDB)         | CSV                    | JSON Lines                           | refused in Parquet                         |
 * |--------------------------------|--------------------------|------------------------|--------------------------------------|--------------------------------------------|
 * | bool                           | BOOLEAN                  | `t`, `f`               | `true`, `false`                      |                                            |
 * | int2, int4, int8               | SMALLINT INTEGER BIGINT  | digits                 | number                               |                                            |
 * | float4, float8                 | FLOAT, DOUBLE            | as Postgres prints     | number; `"NaN"`, `"Infinity"`        |                                            |
 * | numeric(p ≤ 38, 0 ≤ s ≤ p)     | DECIMAL(p, s)            | every digit            | number to 15 digits, else string     | NaN, more digits than p or s hold          |
 * | other numeric                  | VARCHAR                  | every digit            | string                               |                                            |
 * | date                           | DATE                     | ISO                    | string                               | ±infinity                                  |
 * | time                           | TIME                     | ISO                    | string                               |                                            |
 * | timestamp, timestamptz         | TIMESTAMP, TIMESTAMPTZ   | ISO, UTC               | string                               | ±infinity, after 294247-01-10              |
 * | uuid                           | UUID                     | text                   | string                               |                                            |
 * | bytea                          | BLOB                     | `\x` and hex           | string, `\x` and hex                 |                                            |
 * | text, varchar, char, enums     | VARCHAR                  | text                   | string                               |                                            |
 * | json, jsonb, arrays, intervals, timetz, inet, bit, ranges, all others | VARCHAR | text | string: the text that Postgres prints |                             |
 *
 * Dates before Christ are proleptic Gregorian, in files as in Postgres. Text formats hold what Postgres prints, so they refuse nothing.
 */
export function duckType(declared: ColumnType): string {
  const type = baseType(declared);
  switch (type.kind) {
    case 'bool':
      return 'BOOLEAN';
    case 'int2':
      return 'SMALLINT';
    case 'int4':
      return 'INTEGER';
    case 'int8':
      return 'BIGINT';
    case 'float4':
      return 'FLOAT';
    case 'float8':
      return 'DOUBLE';
    case 'numeric': {
      const size = decimalSize(type);
      return size ? `DECIMAL(${size.precision},${size.scale})` : 'VARCHAR';
    }
    case 'date':
      return 'DATE';
    case 'time':
      return 'TIME';
    case 'timestamp':
      return 'TIMESTAMP';
    case 'timestamptz':
      return 'TIMESTAMPTZ';
    case 'uuid':
      return 'UUID';
    case 'bytea':
      return 'BLOB';
    default:
      return 'VARCHAR';
  }
}

/** Precision and scale where a DECIMAL holds the type; null for unbounded, very wide and oddly scaled numerics. */
export function decimalSize(type: ColumnType): { precision: number; scale: number } | null {
  if (type.kind !== 'numeric' || type.precision === undefined) return null;
  const scale = type.scale ?? 0;
  return type.precision <= 38 && scale >= 0 && scale <= type.precision ? { precision: type.precision, scale } : null;
}

/** True where a value of the type may hold a line break or a quote when it is text. */
export function mayHoldLineBreaks(type: ColumnType): boolean {
  switch (baseType(type).kind) {
    case 'text':
    case 'varchar':
    case 'char':
    case 'json':
    case 'jsonb':
    case 'enum':
    case 'array':
    case 'range':
    case 'other':
      return true;
    default:
      return false;
  }
}

/** The type as which the CSV reader takes the text: its own where that is exact for all that Postgres prints, else VARCHAR for `valueOfText`. */
export function readType(type: ColumnType): string {
  return isExactlyRead(type) ? duckType(type) : 'VARCHAR';
}

function isExactlyRead(type: ColumnType): boolean {
  return ['bool', 'int2', 'int4', 'int8', 'float4', 'float8', 'time', 'uuid'].includes(baseType(type).kind);
}

/**
 * Text as Postgres prints it, as a value of `duckType`. What the type cannot hold stops the statement with the column's name
 * and the value: DuckDB on its own rounds decimals, takes `44 BC` for `44`, and writes infinities as sentinel numbers.
 * The usual form of a value is told by its length or the place of its point, so that the check costs next to nothing.
 */
export function valueOfText(declared: ColumnType, x: string, column: string, options: { infinity?: boolean } = {}): string {
  const type = baseType(declared);
  const cast = `TRY_CAST(${x} AS ${duckType(type)})`;
  const no = refuse('unrepresentable', column, typeName(declared), x);
  const when = (condition: string, value = cast) => `CASE WHEN ${condition} THEN ${value} END`;
  /** The unusual forms are looked at only where the usual one did not fit. */
  const usually = (usual: string, ...unusual: string[]) =>
    `coalesce(${usual}, CASE WHEN ${x} IS NOT NULL THEN coalesce(${[...unusual, no].join(', ')}) END)`;
  const matches = (pattern: string) => `regexp_full_match(${x}, '${pattern}')`;
  const infinity = options.infinity ? [when(`ends_with(${x}, 'infinity')`)] : [];
  switch (type.kind) {
    case 'bool':
    case 'int2':
    case 'int4':
    case 'int8':
    case 'float4':
    case 'float8':
    case 'time':
    case 'uuid':
      return usually(cast);
    case 'numeric': {
      const size = decimalSize(type);
      if (!size) return x;
      const decimals = (text: string) => `strlen(${text}) - instr(${text}, '.')`;
      return usually(
        when(
          size.scale === 0
            ? `instr(${x}, '.') = 0 AND NOT contains(${x}, 'e') AND NOT contains(${x}, 'E')`
            : `${decimals(x)} = ${size.scale}`,
        ),
        // Fewer decimals, or zeros behind those that count.
        when(`${matches('-?\\d+(\\.\\d*)?')} AND (NOT contains(${x}, '.') OR ${decimals(`rtrim(${x}, '0')`)} <= ${size.scale})`),
      );
    }
    case 'date':
      return usually(
        when(`strlen(${x}) = 10`),
        when(matches('\\d{5,7}-\\d\\d-\\d\\d')),
        when(matches('\\d{4,6}-\\d\\d-\\d\\d BC'), `TRY_CAST(replace(${x}, ' BC', ' (BC)') AS DATE)`),
        ...infinity,
      );
    case 'timestamp':
      return usually(
        when(`strlen(${x}) = 19 OR (strlen(${x}) <= 26 AND ${x}[20] = '.')`),
        when(matches(`\\d{5,6}-\\d\\d-\\d\\d[ T]${clock}`)),
        beforeChrist(x, duckType(type), ''),
        ...infinity,
      );
    case 'timestamptz':
      return usually(
        when(`(ends_with(${x}, '+00') AND strlen(${x}) <= 29) OR (ends_with(${x}, 'Z') AND strlen(${x}) <= 27)`),
        when(matches(`\\d{4,6}-\\d\\d-\\d\\d[ T]${clock}${offset}`)),
        beforeChrist(x, duckType(type), offset),
        ...infinity,
      );
    case 'bytea':
      return usually(when(`starts_with(${x}, '\\x')`, `TRY(unhex(substr(${x}, 3)))`));
    default:
      return x;
  }
}

const clock = '\\d\\d:\\d\\d:\\d\\d(\\.\\d{1,6})?';
const offset = '(Z|[-+]\\d\\d(:?\\d\\d)?(:\\d\\d)?)';

function beforeChrist(x: string, type: string, zone: string): string {
  const turned = `regexp_replace(${x}, '^(\\S+)[ T](\\S+) BC$', '\\1 (BC) \\2')`;
  return `CASE WHEN regexp_full_match(${x}, '\\d{4,6}-\\d\\d-\\d\\d[ T]${clock}${zone} BC') THEN TRY_CAST(${turned} AS ${type}) END`;
}

/** A value of `duckType` as Postgres prints it. */
export function textOfValue(declared: ColumnType, x: string): string {
  const type = baseType(declared);
  const text = `CAST(${x} AS VARCHAR)`;
  switch (type.kind) {
    case 'bool':
      return `CASE WHEN ${x} THEN 't' WHEN NOT ${x} THEN 'f' END`;
    case 'float4':
    case 'float8':
      return `CASE WHEN isfinite(${x}) THEN CASE WHEN ends_with(${text}, '.0') THEN left(${text}, -2) ELSE ${text} END WHEN isnan(${x}) THEN 'NaN' WHEN ${x} > 0 THEN 'Infinity' WHEN ${x} < 0 THEN '-Infinity' END`;
    case 'date':
      return `CASE WHEN ${x} < DATE '0001-01-01' THEN replace(${text}, ' (BC)', ' BC') ELSE ${text} END`;
    case 'timestamp':
      return beforeChristText(x, "TIMESTAMP '0001-01-01 00:00:00'");
    case 'timestamptz':
      return beforeChristText(x, "TIMESTAMPTZ '0001-01-01 00:00:00+00'");
    case 'bytea':
      return `'\\x' || lower(hex(${x}))`;
    case 'numeric': {
      const size = decimalSize(type);
      if (size === null) return x;
      // DuckDB prints no zero before the point where the type has no digit there.
      return size.precision > size.scale ? text : `regexp_replace(${text}, '^(-?)\\.', '\\10.')`;
    }
    case 'int2':
    case 'int4':
    case 'int8':
    case 'time':
    case 'uuid':
      return duckType(type) === 'VARCHAR' ? x : text;
    default:
      return x;
  }
}

function beforeChristText(x: string, first: string): string {
  const text = `CAST(${x} AS VARCHAR)`;
  return `CASE WHEN ${x} < ${first} AND isfinite(${x}) THEN concat(replace(${text}, ' (BC)', ''), ' BC') ELSE ${text} END`;
}
