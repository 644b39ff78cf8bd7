import { baseType, type ColumnSchema, MillraceError, type RowSchema, typeName } from '@millrace/core/runtime';
import { headerNames } from '../duckdb/csv-header.ts';
import { canonicalText } from '../duckdb/file-text.ts';
import type { Inlet } from '../duckdb/inlet.ts';
import { unguarded } from '../duckdb/line-guard.ts';
import type { DuckDb } from '../duckdb/process.ts';
import { columnMap, ident, literal, refuse } from '../duckdb/sql.ts';
import { dmsText } from './dms-text.ts';
import { beforeColumn, sequenceColumn, type TablePlace } from './mappings.ts';
import { numberedInlet } from './numbered-inlet.ts';
import type { Reading } from './output.ts';

/** A file of DMS's on this machine. */
export interface LocalFile {
  readonly path: string;
  /** For messages: `s3://bucket/public/orders/LOAD00000001.csv`. */
  readonly label: string;
  readonly format: 'parquet' | 'csv';
  readonly codec: 'gzip' | 'none';
  readonly kind: 'load' | 'changes' | 'transactions';
}

export interface TableReading {
  readonly place: TablePlace;
  readonly schema: RowSchema;
  readonly reading: Reading;
  /** False where the mappings add no number to each change. */
  readonly sequence: boolean;
  /** True where the mappings add the key as it was before an update. */
  readonly keyBefore: boolean;
  readonly binary: 'hex' | 'base64';
}

export interface DmsQuery {
  /**
   * A SELECT of `nr`, `op`, `ts`, `seq`, `c0`, `c1`, …, and of the key before the change, where that is known: `b0`, `b1`, …; all but the
   * first as text that Postgres would print.
   */
  readonly sql: string;
  readonly inlet: Inlet | null;
}

const rowBytes = 32 * 1024 * 1024;
export const opColumn = 'Op';

/**
 * The rows of one table in one file, each with its place in it. In files of transactions those of other tables are passed over.
 *
 * @throws SCHEMA_DRIFT for a column that is not there, FILE_CORRUPT
 */
export async function dmsQuery(
  duckdb: DuckDb,
  file: LocalFile,
  link: string,
  table: TableReading,
  signal: AbortSignal,
): Promise<DmsQuery | null> {
  if (file.format !== formatOf(file, table.reading)) throw otherFormat(file);
  return file.format === 'parquet' ? parquetQuery(duckdb, file, link, table) : csvQuery(file, table, signal);
}

const formatOf = ({ kind }: LocalFile, { format }: Reading): LocalFile['format'] => (kind === 'transactions' ? 'csv' : format);

async function parquetQuery(duckdb: DuckDb, file: LocalFile, link: string, table: TableReading): Promise<DmsQuery> {
  const source = `read_parquet(${literal(link)}, hive_partitioning = false, file_row_number = true)`;
  const found = new Map((await duckdb.run(`DESCRIBE SELECT * FROM ${source}`)).map((row) => [row[0] as string, row[1] as string]));
  const raw = (name: string): string | null => {
    const type = found.get(name);
    if (type === undefined) return null;
    return type === 'BLOB' ? `lower(hex(${ident(name)}))` : `CAST(${ident(name)} AS VARCHAR)`;
  };
  return { sql: selected(file, { ...table, binary: 'hex' }, raw, [...found.keys()], `file_row_number AS nr`, source), inlet: null };
}

async function csvQuery(file: LocalFile, table: TableReading, signal: AbortSignal): Promise<DmsQuery | null> {
  const { reading, schema, place } = table;
  const isTransactions = file.kind === 'transactions';
  const input = { path: file.path, label: file.label, format: 'csv', codec: file.codec } as const;
  const dialect = { ...reading.csv, header: reading.csv.header && !isTransactions };
  const columns = [...schema.columns.map(({ name }) => name), ...(table.sequence ? [sequenceColumn] : [])];
  const names = dialect.header
    ? await headerNames(input, dialect, signal)
    : [
        ...(file.kind === 'load' && !reading.opInLoad ? [] : [opColumn]),
        ...(isTransactions ? ['\0table', '\0schema'] : []),
        reading.timestamp,
        ...columns,
      ];
  if (names === null) return null;
  const inlet = numberedInlet(input, dialect, rowBytes, isTransactions ? place : null, signal);
  const fields = ['n', ...names.map((_, index) => `f${index}`)].map((name) => [name, 'VARCHAR'] as const);
  const source = `read_csv(${literal(inlet.name)}, columns = ${columnMap(fields)}, auto_detect = false, header = false, delim = ${literal(dialect.delimiter)}, quote = ${literal(dialect.quote)}, escape = ${literal(dialect.escape)}, nullstr = ${literal(dialect.nullText)}, allow_quoted_nulls = false, new_line = '\\n', compression = 'none', max_line_size = ${rowBytes}, buffer_size = ${rowBytes})`;
  const raw = (name: string): string | null => {
    const at = names.indexOf(name);
    return at < 0 ? null : unguarded(`f${at}`);
  };
  return { sql: selected(file, table, raw, names, 'CAST(n AS BIGINT) AS nr', source), inlet };
}

/** Raw texts under names, then in the form of our own files, then checked: each once. */
function selected(
  file: LocalFile,
  { schema, reading, sequence, keyBefore, binary }: TableReading,
  raw: (name: string) => string | null,
  names: readonly string[],
  number: string,
  source: string,
): string {
  const must = (name: string): string => {
    const found = raw(name);
    if (found !== null) return found;
    throw missing(file, name, names);
  };
  const isLoad = file.kind === 'load';
  const op = raw(opColumn);
  if (op === null && !isLoad) throw missing(file, opColumn, names);
  const ts = isLoad ? (raw(reading.timestamp) ?? `''`) : must(reading.timestamp);
  const seq = isLoad ? `''` : sequence ? must(sequenceColumn) : must(reading.timestamp);
  const head = [number, `${op ?? "'I'"} AS op`, `${ts} AS ts`, `${seq} AS seq`];
  const keys = schema.key ?? [];
  const unlogged = file.format === 'csv' ? reading.unlogged : null;
  const fields: Field[] = [
    ...schema.columns.map((column, index) => ({
      column,
      raw: must(column.name),
      as: `c${index}`,
      counts: keys.includes(column.name) ? 'true' : `op <> 'D'`,
    })),
    ...keys.map((name, index) => ({
      column: schema.columns.find((column) => column.name === name) as ColumnSchema,
      raw: keyBefore && !isLoad ? must(beforeColumn(name)) : 'CAST(NULL AS VARCHAR)',
      as: `b${index}`,
      counts: `op = 'U'`,
    })),
  ];
  const raws = fields.map((field) => `${field.raw} AS r_${field.as}`);
  const texts = fields.map(({ column, as }) => `${dmsText(baseType(column.type), `r_${as}`, binary)} AS d_${as}, r_${as}`);
  const layer = (columns: readonly string[], from: string): string => `SELECT nr, op, ts, seq, ${columns.join(', ')} FROM (${from})`;
  return layer(
    fields.map((field) => checkedField(field, unlogged)),
    layer(texts, `SELECT ${[...head, ...raws].join(', ')} FROM ${source}`),
  );
}

interface Field {
  readonly column: ColumnSchema;
  /** As it stands in the file. */
  readonly raw: string;
  readonly as: string;
  /** The rows in which it says anything: of a row that is deleted DMS may know no more than the key. */
  readonly counts: string;
}

function checkedField({ column, as, counts }: Field, unlogged: string | null): string {
  const text = canonicalText(column, `d_${as}`);
  const refused = refuse('unlogged', column.name, typeName(column.type), "''");
  const logged = unlogged === null ? text : `CASE WHEN r_${as} = ${literal(unlogged)} THEN ${refused} ELSE ${text} END`;
  return `CASE WHEN ${counts} THEN ${logged} END AS ${as}`;
}

function missing(file: LocalFile, name: string, names: readonly string[]): MillraceError {
  const shown = names.filter((one) => !one.startsWith('\0')).map((one) => `"${one}"`);
  const remedies: Readonly<Record<string, string>> = {
    [opColumn]: 'The endpoint leaves out what was done: set CdcInsertsOnly and CdcInsertsAndUpdates to false.',
    [sequenceColumn]: 'Bring the table mappings of the task up to date, or say sequence: false in dms().',
  };
  const ofKey = name.startsWith(beforeColumn(''))
    ? 'Bring the table mappings of the task up to date, or say keyChanges: false in dms().'
    : undefined;
  return new MillraceError('SCHEMA_DRIFT', {
    message: `${file.label} has no column "${name}"; it has ${shown.join(', ')}.`,
    remedy: remedies[name] ?? ofKey ?? 'Correct the table() declaration, or the settings of the endpoint in dms().',
    facts: { file: file.label, column: name },
  });
}

const otherFormat = ({ label, format }: LocalFile): MillraceError =>
  new MillraceError('SCHEMA_DRIFT', {
    message: `${label} is ${format}, which dms() was not told: the endpoint has been changed.`,
    remedy: 'Set DataFormat of the endpoint back, or change output in dms() and run "millrace resync" to load the tables again.',
    facts: { file: label, format },
  });
