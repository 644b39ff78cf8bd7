import { baseType, type ColumnSchema, MillraceError, type RowSchema, typeName } from '@millrace/core/runtime';
import { headerNames } from './csv-header.ts';
import { canonicalText } from './file-text.ts';
import type { FilesToCsv, InputFile } from './files-to-csv.ts';
import type { Inlet } from './inlet.ts';
import { unguarded } from './line-guard.ts';
import { parquetValue } from './parquet-column.ts';
import type { DuckDb } from './process.ts';
import { maxRowBytes } from './row-width.ts';
import { columnMap, ident, literal, refuse } from './sql.ts';
import { csvInlet, jsonlInlet } from './text-inlet.ts';
import { duckType } from './types.ts';

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
  /** The whole row, where the file has lines. */
  readonly line?: string;
  /** Text files come in through a pipe; Parquet is read where it stands. */
  readonly inlet: Inlet | null;
}

/**
 * A SELECT of the schema's columns, named `c0`, `c1`, …, out of one file, whose columns have been held against the schema.
 * @throws SCHEMA_DRIFT for a column that is missing or of a type that does not fit · FILE_CORRUPT
 */
export async function fileQuery(
  duckdb: DuckDb,
  file: InputFile,
  link: string,
  request: FilesToCsv,
  signal: AbortSignal,
): Promise<FileQuery> {
  switch (file.format) {
    case 'parquet':
      return parquetQuery(duckdb, file, link, request.schema);
    case 'csv':
      return csvQuery(file, request, signal);
    case 'jsonl':
      return jsonlQuery(file, request, signal);
  }
}

async function parquetQuery(duckdb: DuckDb, file: InputFile, link: string, schema: RowSchema): Promise<FileQuery> {
  const source = `read_parquet(${literal(link)}, hive_partitioning = false)`;
  const found = new Map((await duckdb.run(`DESCRIBE SELECT * FROM ${source}`)).map((row) => [row[0] as string, row[1] as string]));
  const list = schema.columns.map((column, index) => {
    const type = found.get(column.name);
    if (type === undefined && file.absent?.includes(column.name)) return `CAST(NULL AS ${duckType(column.type)}) AS c${index}`;
    if (type === undefined) throw missingColumn(file, column, [...found.keys()]);
    const value = parquetValue(type, column, ident(column.name));
    if (value === null) throw unfitColumn(file, column, type);
    return `${notNull(column, value)} AS c${index}`;
  });
  return {
    sql: `SELECT ${list.join(', ')} FROM ${source}`,
    source,
    raw: schema.columns.map(({ name }) => (found.has(name) ? `CAST(${ident(name)} AS VARCHAR)` : 'CAST(NULL AS VARCHAR)')),
    inlet: null,
  };
}

async function csvQuery(file: InputFile, { schema, maxRowBytes: asked }: FilesToCsv, signal: AbortSignal): Promise<FileQuery> {
  const dialect = file.csv ?? canonicalDialect;
  const rowBytes = maxRowBytes(schema, asked);
  const names = dialect.header ? await headerNames(file, dialect, signal) : schema.columns.map(({ name }) => name);
  // An empty file has no header and no rows.
  if (names === null) {
    const sql = `SELECT ${schema.columns.map((_, index) => `CAST(NULL AS VARCHAR) AS c${index}`).join(', ')} WHERE false`;
    return { sql, source: `(${sql})`, raw: schema.columns.map((_, index) => `c${index}`), inlet: null };
  }
  const inlet = csvInlet(file, dialect, rowBytes, names.length === 1, signal);
  const fields = names.map((_, index) => [`f${index}`, 'VARCHAR'] as const);
  const source = `read_csv(${literal(inlet.name)}, columns = ${columnMap(fields)}, auto_detect = false, header = false, delim = ${literal(dialect.delimiter)}, quote = ${literal(dialect.quote)}, escape = ${literal(dialect.escape)}, nullstr = ${literal(dialect.nullText)}, allow_quoted_nulls = false, new_line = '\\n', compression = 'none', max_line_size = ${rowBytes}, buffer_size = ${rowBytes})`;
  const raw = schema.columns.map((column) => {
    const place = names.indexOf(column.name);
    if (place < 0 && file.absent?.includes(column.name)) return 'CAST(NULL AS VARCHAR)';
    if (place < 0) throw missingColumn(file, column, names);
    return unguarded(`f${place}`);
  });
  const list = schema.columns.map((column, index) => `${notNull(column, canonicalText(column, `r${index}`))} AS c${index}`);
  // Each field is put back once, under a name, and checked by that name.
  const back = `SELECT ${raw.map((text, index) => `${text} AS r${index}`).join(', ')} FROM ${source}`;
  return { sql: `SELECT ${list.join(', ')} FROM (${back})`, source, raw, inlet };
}

/**
 * Lines come in as one text column each, and are taken apart here: DuckDB's own reader of JSON opens its input more than once, which a pipe
 * does not allow. Control characters cannot stand in JSON, so one of them serves as the delimiter that never occurs.
 */
function jsonlQuery(file: InputFile, { schema, maxRowBytes: asked }: FilesToCsv, signal: AbortSignal): FileQuery {
  const rowBytes = maxRowBytes(schema, asked);
  const inlet = jsonlInlet(file, rowBytes, signal);
  const source = `read_csv(${literal(inlet.name)}, columns = {'line': 'VARCHAR'}, auto_detect = false, header = false, delim = E'\\x1f', quote = '', escape = '', nullstr = E'\\x1e', new_line = '\\n', compression = 'none', max_line_size = ${rowBytes}, buffer_size = ${rowBytes})`;
  // Strings come without their quotes, and everything else as JSON writes it, except where it matters which of them it was.
  const shape = literal(
    JSON.stringify(Object.fromEntries(schema.columns.map((column) => [column.name, isExact(column) ? 'JSON' : 'VARCHAR']))),
  );
  const fields = `TRY(from_json(line, ${shape}))`;
  const text = (column: ColumnSchema, x: string, as: string) => (isExact(column) ? jsonText(column, x) : as);
  const raw = schema.columns.map((column) => {
    const path = literal(`$."${column.name.replaceAll('"', '\\"')}"`);
    return text(column, `json_extract(line, ${path})`, `line ->> ${path}`);
  });
  const list = schema.columns.map((column, index) => `${notNull(column, canonicalText(column, `r${index}`))} AS c${index}`);
  const parsed = `SELECT coalesce(${fields}, ${refuse('line', '', 'JSON object', 'line')}) AS object FROM ${source}`;
  const back = `SELECT ${schema.columns.map((column, index) => `${text(column, `object.${ident(column.name)}`, `object.${ident(column.name)}`)} AS r${index}`).join(', ')} FROM (${parsed})`;
  return { sql: `SELECT ${list.join(', ')} FROM (${back})`, source, raw, line: 'line', inlet };
}

/** True for decimals that may have more digits than a double keeps, through which JSON's numbers go. */
function isExact({ type }: ColumnSchema): boolean {
  const base = baseType(type);
  return base.kind === 'numeric' && (base.precision ?? Number.POSITIVE_INFINITY) > 15;
}

/** The text of such a decimal: any number of digits where it stands in quotes, fifteen where it does not. */
function jsonText(column: ColumnSchema, x: string): string {
  const digits = `strlen(regexp_replace(CAST(${x} AS VARCHAR), '^-?0*\\.?0*|[.]|0*$|-', '', 'g'))`;
  const tooLong = refuse('mismatch', column.name, 'number of at most 15 digits, and needs quotes in JSON', `CAST(${x} AS VARCHAR)`);
  return `CASE json_type(${x}) WHEN 'NULL' THEN NULL WHEN 'VARCHAR' THEN ${x} ->> '$' WHEN 'DOUBLE' THEN CASE WHEN ${digits} > 15 THEN ${tooLong} ELSE CAST(${x} AS VARCHAR) END ELSE CAST(${x} AS VARCHAR) END`;
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
