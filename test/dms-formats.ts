import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { ColumnSchema, RowSchema } from '@millrace/core/runtime';
import type { DuckDBInstance as Instance } from '../packages/connectors/node_modules/@duckdb/node-api/lib/index.js';

const { DuckDBInstance } = createRequire(new URL('../packages/connectors/package.json', import.meta.url))('@duckdb/node-api') as {
  DuckDBInstance: typeof Instance;
};

/* What DMS writes to S3, as its guide has it. */

/** Settings of an S3 endpoint, complete. */
export interface WrittenAs {
  readonly DataFormat: 'parquet' | 'csv';
  readonly CompressionType?: 'none' | 'gzip';
  readonly AddColumnName?: boolean;
  readonly IncludeOpForFullLoad?: boolean;
  readonly TimestampColumnName: string;
  readonly Rfc4180?: boolean;
  readonly CsvDelimiter?: string;
  readonly CsvRowDelimiter?: string;
  readonly CsvNullValue?: string;
  readonly DatePartitionEnabled?: boolean;
  readonly DatePartitionSequence?: string;
  readonly DatePartitionDelimiter?: string;
  readonly PreserveTransactions?: boolean;
  readonly CdcPath?: string;
  readonly EncodingType?: string;
  readonly ParquetVersion?: string;
  readonly RowGroupLength?: number;
}

/** As names of files have it: `20260101-000500000`. */
export function stampOf(at: Date): string {
  const digits = at.toISOString().replace(/\D/g, '').slice(0, 17);
  return `${digits.slice(0, 8)}-${digits.slice(8)}`;
}

/** The name of a file that is written later. */
export function renamed(key: string, at: Date): string {
  const stamp = stampOf(at);
  return key.includes('CDC_TXN') ? key.replace(/CDC_TXN-\d+/, `CDC_TXN-${stamp.replace('-', '')}`) : key.replace(/\d{8}-\d{6,}/, stamp);
}

/** The folders of dates of a file that begins with this change; none where they are off. */
export function partition(
  { DatePartitionEnabled, DatePartitionSequence = 'YYYYMMDD', DatePartitionDelimiter = 'SLASH' }: WrittenAs,
  ts: string,
): string {
  if (!DatePartitionEnabled) return '';
  const parts = { YYYY: ts.slice(0, 4), MM: ts.slice(5, 7), DD: ts.slice(8, 10), HH: ts.slice(11, 13) };
  const between = { SLASH: '/', DASH: '-', UNDERSCORE: '_', NONE: '' }[DatePartitionDelimiter] ?? '/';
  const names = DatePartitionSequence.match(/YYYY|MM|DD|HH/g) as (keyof typeof parts)[];
  return `${names.map((name) => parts[name]).join(between)}/`;
}

/** Of each type the forms that DMS is known to write; `variant` takes one of them. */
export function dmsValue({ type }: ColumnSchema, value: unknown, variant: number, binary: 'hex' | 'base64' = 'hex'): string | null {
  if (value === null || value === undefined) return null;
  switch (type.kind) {
    case 'bool':
      return value ? (['true', '1', 't'][variant % 3] as string) : (['false', '0', 'f'][variant % 3] as string);
    case 'numeric':
      return `${String(value)}${'0'.repeat((variant % 3) * 2)}`;
    case 'timestamptz':
    case 'timestamp':
      return String(value).replace('T', ' ').replace('Z', '');
    case 'bytea':
      return binary === 'hex'
        ? Buffer.from(value as Uint8Array)
            .toString('hex')
            .toUpperCase()
        : Buffer.from(value as Uint8Array).toString('base64');
    default:
      return String(value);
  }
}

export function csv(
  rows: readonly (readonly (string | null)[])[],
  { CsvDelimiter = ',', CsvRowDelimiter = '\n', CsvNullValue = 'NULL', Rfc4180 = true, CompressionType }: WrittenAs,
): Buffer {
  const field = (value: string | null): string => {
    if (value === null) return CsvNullValue;
    if (!Rfc4180) return value;
    return /["\r\n]/.test(value) || value.includes(CsvDelimiter) ? `"${value.replaceAll('"', '""')}"` : value;
  };
  const text = rows.map((row) => `${row.map(field).join(CsvDelimiter)}${CsvRowDelimiter}`).join('');
  return CompressionType === 'gzip' ? gzipSync(text) : Buffer.from(text);
}

let duckdb: Promise<Instance> | undefined;
let written = 0;

export async function parquet(
  names: readonly string[],
  rows: readonly (readonly (string | null)[])[],
  table: RowSchema,
  output: WrittenAs,
): Promise<Buffer> {
  duckdb ??= DuckDBInstance.create(':memory:');
  const connection = await (await duckdb).connect();
  const path = join(mkdtempSync(join(tmpdir(), 'millrace-dms-')), 'written.parquet');
  const isText = ++written % 2 === 0;
  const types = new Map<string, string>(
    table.columns.flatMap(({ name, type }) => [
      [name, parquetType(type, isText)],
      [`dms_before_${name}`, parquetType(type, isText)],
    ]),
  );
  const options = [
    'FORMAT parquet',
    `COMPRESSION ${output.CompressionType === 'gzip' ? 'gzip' : 'uncompressed'}`,
    `PARQUET_VERSION ${output.ParquetVersion === 'parquet-2-0' ? 'V2' : 'V1'}`,
    ...(output.EncodingType === 'plain' ? ['DICTIONARY_SIZE_LIMIT 0'] : []),
    ...(output.RowGroupLength === undefined ? [] : [`ROW_GROUP_SIZE ${output.RowGroupLength}`]),
  ];
  const cells = (row: readonly (string | null)[]): string =>
    row
      .map((value, at) => {
        const type = types.get(names[at] as string) ?? 'VARCHAR';
        const text = value === null ? 'NULL' : `'${value.replaceAll("'", "''")}'`;
        return type === 'BLOB' && value !== null ? `unhex(${text})` : `CAST(${text} AS ${type})`;
      })
      .join(', ');
  const columns = names.map((name) => `"${name.replaceAll('"', '""')}"`).join(', ');
  await connection.run(
    `COPY (SELECT * FROM (VALUES ${rows.map((row) => `(${cells(row)})`).join(', ')}) AS t(${columns})) TO '${path}' (${options.join(', ')})`,
  );
  connection.closeSync();
  const body = readFileSync(path);
  rmSync(dirname(path), { recursive: true });
  return body;
}

/** As the guide has it: NUMERIC as a decimal, DATETIME as a timestamp without a zone, everything textual as a string; truth values as either. */
function parquetType(type: ColumnSchema['type'], isText: boolean): string {
  switch (type.kind) {
    case 'bool':
      return isText ? 'VARCHAR' : 'BOOLEAN';
    case 'int2':
    case 'int4':
      return 'INTEGER';
    case 'int8':
      return 'BIGINT';
    case 'float8':
      return 'DOUBLE';
    case 'numeric':
      return `DECIMAL(${type.precision ?? 28},${type.scale ?? 6})`;
    case 'timestamp':
    case 'timestamptz':
      return 'TIMESTAMP';
    case 'date':
      return 'DATE';
    case 'bytea':
      return 'BLOB';
    default:
      return 'VARCHAR';
  }
}
