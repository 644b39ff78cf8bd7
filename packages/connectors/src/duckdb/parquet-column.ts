import { baseType, type ColumnSchema, typeName } from '@millrace/core/runtime';
import { refuse } from './sql.ts';
import { decimalSize, duckType, valueOfText } from './types.ts';

const integers = ['TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'HUGEINT', 'UTINYINT', 'USMALLINT', 'UINTEGER', 'UBIGINT', 'UHUGEINT'];

/**
 * A column of a Parquet file, of the type DuckDB calls `found`, as a value of the declared column's `duckType`. Null where the type does not
 * fit. A type that may hold more than is declared is checked value by value.
 */
export function parquetValue(found: string, column: ColumnSchema, x: string): string | null {
  const type = baseType(column.type);
  const to = duckType(type);
  const checked = (attempt: string) =>
    `CASE WHEN ${x} IS NULL THEN NULL ELSE coalesce(${attempt}, ${refuse('mismatch', column.name, typeName(column.type), `CAST(${x} AS VARCHAR)`)}) END`;
  const decimal = /^DECIMAL\((\d+),(\d+)\)$/.exec(found);
  switch (type.kind) {
    case 'bool':
    case 'bytea':
    case 'date':
    case 'time':
      return found === to ? x : null;
    case 'int2':
    case 'int4':
    case 'int8':
      if (found === to) return x;
      return integers.includes(found) || decimal?.[2] === '0' ? checked(`TRY_CAST(${x} AS ${to})`) : null;
    case 'float4':
      return found === 'FLOAT' ? x : null;
    case 'float8':
      return found === 'DOUBLE'
        ? x
        : found === 'FLOAT' || ['TINYINT', 'SMALLINT', 'INTEGER', 'UTINYINT', 'USMALLINT', 'UINTEGER'].includes(found)
          ? `CAST(${x} AS DOUBLE)`
          : null;
    case 'numeric': {
      const size = decimalSize(type);
      if (!size) return found === 'VARCHAR' ? x : integers.includes(found) || decimal ? `CAST(${x} AS VARCHAR)` : null;
      if (found === to) return x;
      if (found === 'VARCHAR') return valueOfText(type, x, column.name);
      if (decimal) return Number(decimal[2]) <= size.scale ? checked(`TRY_CAST(${x} AS ${to})`) : null;
      return integers.includes(found) ? checked(`TRY_CAST(${x} AS ${to})`) : null;
    }
    case 'timestamp':
      if (found === 'TIMESTAMP_NS')
        return checked(`CASE WHEN CAST(CAST(${x} AS TIMESTAMP) AS TIMESTAMP_NS) = ${x} THEN CAST(${x} AS TIMESTAMP) END`);
      return ['TIMESTAMP', 'TIMESTAMP_S', 'TIMESTAMP_MS'].includes(found) ? `CAST(${x} AS TIMESTAMP)` : null;
    case 'timestamptz':
      return found === 'TIMESTAMP WITH TIME ZONE' ? x : null;
    case 'uuid':
      return found === 'UUID' ? x : found === 'VARCHAR' ? valueOfText(type, x, column.name) : null;
    case 'json':
    case 'jsonb':
      if (found === 'VARCHAR') return x;
      return found === 'JSON' ? `CAST(${x} AS VARCHAR)` : /^(STRUCT|MAP)\(|\[\]$/.test(found) ? `CAST(to_json(${x}) AS VARCHAR)` : null;
    case 'text':
    case 'varchar':
    case 'enum':
      return found === 'VARCHAR' ? x : /^ENUM\(|^(UUID|JSON)$/.test(found) ? `CAST(${x} AS VARCHAR)` : null;
    default:
      return found === 'VARCHAR' ? x : null;
  }
}
