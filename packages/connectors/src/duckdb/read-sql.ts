import { baseType, type ColumnSchema, MillraceError, type RowSchema, typeName } from '@millrace/core/runtime';
import { firstLine } from './csv-header.ts';
import { canonicalText } from './file-text.ts';
import type { FilesToCsv, InputFile } from './files-to-csv.ts';
import { parquetValue } from './parquet-column.ts';
import type { DuckDb } from './process.ts';
import { maxRowBytes } from './row-width.ts';
import { columnMap, ident, literal, refuse } from './sql.ts';

export interface CsvDialect {
  /** Names of the columns in the first line; they may then stand in any order. Without one, columns are those of the table, in order. */
  readonly header: boolean;
  readonly delimiter: string;
  readonly quote: string;
  readonly escape: string;
  /** What an unquoted field holds that is NULL. '' is a value only in quotes. */
  readonly nullText: string;
}

export const canonicalDialect: CsvDialect = { header: true, delimiter: ',', quote: '"', escape: '"', nullText: '' };

/** How one file is read. `raw` are the columns before they are checked, as SQL over `source`: where a bad value is looked for. */
export interface FileQuery {
  readonly sql: string;
  readonly source: string;
  readonly raw: readonly string[];
}

/**
 * A SELECT of the schema's columns, named `c0`, `c1`, …, out of one file, whose columns have been held against the schema.
 * @throws SCHEMA_DRIFT for a column that is missing or of a type that does not fit · FILE_CORRUPT
 */
export async function fileQuery(duckdb: DuckDb, file: InputFile, link: string, request: FilesToCsv): Promise<FileQuery> {
  switch (file.format) {
    case 'parquet':
      return parquetQuery(duckdb, file, link, request.schema);
    case 'csv':
      return csvQuery(duckdb, file, link, request);
    case 'jsonl':
      return jsonlQuery(file, link, request);
  }
}

async function parquetQuery(duckdb: DuckDb, file: InputFile, link: string, schema: RowSchema): Promise<FileQuery> {
  const source = `read_parquet(${literal(link)}, hive_partitioning = false)`;
  const found = new Map((await duckdb.run(`DESCRIBE SELECT * FROM ${source}`)).map((row) => [row[0] as string, row[1] as string]));
  const list = schema.columns.map((column, index) => {
    const type = found.get(column.name);
    if (type === undefined) throw missingColumn(file, column, [...found.keys()]);
    const value = parquetValue(type, column, ident(column.name));
    if (value === null) throw unfitColumn(file, column, type);
    return `${notNull(column, value)} AS c${index}`;
  });
  return { sql: `SELECT ${list.join(', ')} FROM ${source}`, source, raw: schema.columns.map(({ name }) => `CAST(${ident(name)} AS VARCHAR)`) };
}

async function csvQuery(duckdb: DuckDb, file: InputFile, link: string, { schema, maxRowBytes: asked }: FilesToCsv): Promise<FileQuery> {
  const dialect = file.csv ?? canonicalDialect;
  const rowBytes = maxRowBytes(schema, asked);
  const first = await firstLine(duckdb, link, file, dialect, rowBytes);
  // An empty file has no header and no rows.
  if (first === null) {
    const sql = `SELECT ${schema.columns.map((_, index) => `CAST(NULL AS VARCHAR) AS c${index}`).join(', ')} WHERE false`;
    return { sql, source: `(${sql})`, raw: schema.columns.map((_, index) => `c${index}`) };
  }
  const names = dialect.header ? first.names : schema.columns.map(({ name }) => name);
  const raw: string[] = [];
  const list = schema.columns.map((column, index) => {
    const place = names.indexOf(column.name);
    if (place < 0) throw missingColumn(file, column, names);
    raw.push(`f${place}`);
    return `${notNull(column, canonicalText(column, `f${place}`))} AS c${index}`;
  });
  const source = csvSource(link, file, { ...dialect, lineEnd: first.lineEnd }, names.length, rowBytes);
  return { sql: `SELECT ${list.join(', ')} FROM ${source}`, source, raw };
}

/** Fields are `f0`, `f1`, …. One thread reads: see `line-guard.ts` for what the parallel reader makes of line breaks in quotes. */
function csvSource(link: string, file: InputFile, dialect: CsvDialect & { readonly lineEnd: string }, width: number, rowBytes: number): string {
  const columns = Array.from({ length: width }, (_, index) => [`f${index}`, 'VARCHAR'] as const);
  return `read_csv(${literal(link)}, columns = ${columnMap(columns)}, auto_detect = false, header = ${dialect.header}, delim = ${literal(dialect.delimiter)}, quote = ${literal(dialect.quote)}, escape = ${literal(dialect.escape)}, nullstr = ${literal(dialect.nullText)}, allow_quoted_nulls = false, new_line = ${dialect.lineEnd === '\n' ? `'\\n'` : `'\\r\\n'`}, compression = ${literal(file.codec)}, parallel = false, max_line_size = ${rowBytes}, buffer_size = ${rowBytes})`;
}

function jsonlQuery(file: InputFile, link: string, { schema, maxRowBytes: asked }: FilesToCsv): FileQuery {
  const columns = schema.columns.map(({ name }) => [name, 'JSON'] as const);
  const source = `read_json(${literal(link)}, format = 'newline_delimited', columns = ${columnMap(columns)}, compression = ${literal(file.codec === 'none' ? 'uncompressed' : file.codec)}, maximum_object_size = ${maxRowBytes(schema, asked)}, convert_strings_to_integers = false)`;
  const texts = schema.columns.map((column) => jsonText(column, ident(column.name)));
  const list = schema.columns.map((column, index) => `${notNull(column, canonicalText(column, texts[index]!))} AS c${index}`);
  return { sql: `SELECT ${list.join(', ')} FROM ${source}`, source, raw: texts };
}

/** A JSON value as text: strings without their quotes, everything else as JSON writes it. */
function jsonText(column: ColumnSchema, x: string): string {
  const text = `CASE json_type(${x}) WHEN 'NULL' THEN NULL WHEN 'VARCHAR' THEN ${x} ->> '$' ELSE CAST(${x} AS VARCHAR) END`;
  if (baseType(column.type).kind !== 'numeric') return text;
  // The reader has been through a double, which keeps fifteen digits.
  const digits = `strlen(regexp_replace(CAST(${x} AS VARCHAR), '^-?0*\\.?0*|[.]|0*$|-', '', 'g'))`;
  return `CASE WHEN json_type(${x}) = 'DOUBLE' AND ${digits} > 15 THEN ${refuse('mismatch', column.name, 'number of at most 15 digits, and needs quotes in JSON', `CAST(${x} AS VARCHAR)`)} ELSE ${text} END`;
}

function notNull(column: ColumnSchema, value: string): string {
  return column.nullable ? value : `coalesce(${value}, ${refuse('missing', column.name, typeName(column.type), "''")})`;
}

function missingColumn(file: InputFile, column: ColumnSchema, found: readonly string[]): MillraceError {
  return new MillraceError('SCHEMA_DRIFT', {
    message: `${file.label} has no column "${column.name}"; it has ${found.map((name) => `"${name}"`).join(', ')}.`,
    remedy: 'Correct the table() declaration, or leave the file out of the pattern.',
    facts: { file: file.label, column: column.name },
  });
}

function unfitColumn(file: InputFile, column: ColumnSchema, found: string): MillraceError {
  return new MillraceError('SCHEMA_DRIFT', {
    message: `${file.label}: column "${column.name}" is ${found}, which does not fit ${typeName(column.type)}.`,
    remedy: 'Declare the column with a type that holds it.',
    facts: { file: file.label, column: column.name, found, declared: typeName(column.type) },
  });
}
