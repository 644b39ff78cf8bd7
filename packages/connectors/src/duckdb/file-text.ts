import { baseType, type ColumnSchema, typeName } from '@millrace/core/runtime';
import { refuse } from './sql.ts';
import { duckType, textOfValue } from './types.ts';

/**
 * A field of a text file as the text that Postgres prints for the same value. Usual forms pass: `true`, `+5`, `2024-02-29T10:00:00Z`.
 * What Postgres prints and no DuckDB type holds (infinity, NaN, BC) passes as it is; anything else is refused with its column.
 */
export function canonicalText(column: ColumnSchema, field: string): string {
  const type = baseType(column.type);
  const x = field;
  const cast = `TRY_CAST(${x} AS ${duckType(type)})`;
  const no = refuse('mismatch', column.name, typeName(column.type), x);
  const checked = (...attempts: string[]) => `CASE WHEN ${x} IS NULL THEN NULL ELSE coalesce(${[...attempts, no].join(', ')}) END`;
  /** What DuckDB prints as it came is what Postgres prints; only other forms are looked at closely. */
  const usually = (...unusual: string[]) =>
    `coalesce(CASE WHEN CAST(${cast} AS VARCHAR) = ${x} THEN ${x} END, CASE WHEN ${x} IS NOT NULL THEN coalesce(${[...unusual, no].join(', ')}) END)`;
  const where = (condition: string, value: string) => `CASE WHEN ${condition} THEN ${value} END`;
  const matches = (pattern: string) => `regexp_full_match(${x}, '${pattern}')`;
  switch (type.kind) {
    case 'bool':
      return checked(
        `CASE lower(${x}) WHEN 't' THEN 't' WHEN 'f' THEN 'f' WHEN 'true' THEN 't' WHEN 'false' THEN 'f' WHEN '1' THEN 't' WHEN '0' THEN 'f' END`,
      );
    case 'int2':
    case 'int4':
    case 'int8':
      return usually(where(matches('\\s*[-+]?\\d+\\s*'), `CAST(${cast} AS VARCHAR)`));
    case 'float4':
    case 'float8':
      return checked(
        where(`${matches(number)} AND isfinite(${cast})`, textOfValue(type, cast)),
        `CASE lower(${x}) WHEN 'nan' THEN 'NaN' WHEN 'inf' THEN 'Infinity' WHEN 'infinity' THEN 'Infinity' WHEN '-inf' THEN '-Infinity' WHEN '-infinity' THEN '-Infinity' END`,
      );
    case 'numeric':
      if (type.precision === undefined) return checked(where(`${matches(plainNumber)} OR ${x} IN (${words})`, x));
      return (duckType(type) === 'VARCHAR' ? checked : usually)(
        where(
          `${matches(plainNumber)} AND strlen(regexp_replace(${x}, '^[^.]*\\.?', '')) <= ${Math.max(0, type.scale ?? 0)}`,
          duckType(type) === 'VARCHAR' ? x : `CAST(${cast} AS VARCHAR)`,
        ),
        where(`${x} IN (${words})`, x),
      );
    case 'date':
      return usually(
        where(matches('\\d{4,7}-\\d\\d-\\d\\d'), `CAST(${cast} AS VARCHAR)`),
        where(`${matches('\\d{4,7}-\\d\\d-\\d\\d BC')} OR ${x} IN ('infinity', '-infinity')`, x),
      );
    case 'time':
      return usually(where(matches(clock), `CAST(${cast} AS VARCHAR)`));
    case 'timestamp':
      return usually(
        where(matches(`\\d{4}-\\d\\d-\\d\\d[ T]${clock}`), `CAST(${cast} AS VARCHAR)`),
        where(`${matches(`\\d{4,6}-\\d\\d-\\d\\d ${clock}( BC)?`)} OR ${x} IN ('infinity', '-infinity')`, x),
      );
    case 'timestamptz':
      return usually(
        where(matches(`\\d{4}-\\d\\d-\\d\\d[ T]${clock} ?(Z|[-+]\\d\\d(:?\\d\\d)?)`), `CAST(${cast} AS VARCHAR)`),
        where(`${matches(`\\d{4,6}-\\d\\d-\\d\\d ${clock}\\+00( BC)?`)} OR ${x} IN ('infinity', '-infinity')`, x),
      );
    case 'uuid':
      return usually(`CAST(${cast} AS VARCHAR)`);
    case 'bytea':
      return checked(where(matches('\\\\x([0-9a-fA-F]{2})*'), `lower(${x})`));
    case 'json':
    case 'jsonb':
      return checked(where(`json_valid(${x})`, x));
    case 'enum':
      return checked(where(`${x} IN (${type.labels.map((label) => `'${label.replaceAll("'", "''")}'`).join(', ')})`, x));
    case 'varchar':
    case 'char':
      return type.length === undefined
        ? x
        : checked(where(`length(${x}) <= ${type.length}`, type.kind === 'char' ? `rpad(${x}, ${type.length}, ' ')` : x));
    default:
      return x;
  }
}

const number = '[-+]?(\\d+\\.?\\d*|\\.\\d+)([eE][-+]?\\d+)?';
const plainNumber = '-?\\d+(\\.\\d+)?';
const words = "'NaN', 'Infinity', '-Infinity'";
const clock = '\\d\\d:\\d\\d:\\d\\d(\\.\\d{1,6})?';
