import { baseType, type ColumnSchema, type RowSchema } from '@millrace/core/runtime';
import type { FileFormat } from './csv-to-files.ts';
import { unguarded } from './line-guard.ts';
import { isNarrow } from './row-width.ts';
import { columnMap, ident, literal } from './sql.ts';
import { decimalSize, mayHoldLineBreaks, readType, valueOfText } from './types.ts';

export interface CopyPaths {
  readonly input: string;
  readonly target: string;
  /** False after a conversion that hung: DuckDB's parallel reader is the suspect. */
  readonly parallel: boolean;
  readonly rowBytes: number;
}

/** The statement that turns the guarded CSV stream into files. Columns are `c0`, `c1`, … until they get their names in the file. */
export function copyStatement(schema: RowSchema, format: FileFormat, paths: CopyPaths): string {
  const typed = format.format === 'parquet';
  const columns = schema.columns.map(({ type }, index) => [`c${index}`, typed ? readType(type) : 'VARCHAR'] as const);
  const source = `read_csv(${literal(paths.input)}, columns = ${columnMap(columns)}, auto_detect = false, header = false, delim = ',', quote = '"', escape = '"', nullstr = '', allow_quoted_nulls = false, new_line = '\\n', compression = 'none', parallel = ${paths.parallel}, max_line_size = ${paths.rowBytes}, buffer_size = ${paths.rowBytes})`;
  const texts = schema.columns.map((column, index) => (mayHoldLineBreaks(column.type) ? unguarded(`c${index}`) : `c${index}`));
  const list = selectList(schema.columns, format);
  return `COPY (SELECT ${list} FROM (SELECT ${texts.map((text, index) => `${text} AS c${index}`).join(', ')} FROM ${source})) TO ${literal(targetPath(paths.target, format))} (${options(schema, format)})`;
}

function selectList(columns: readonly ColumnSchema[], format: FileFormat): string {
  switch (format.format) {
    case 'parquet':
      return columns
        .map(
          ({ name, type }, index) =>
            `${readType(type) === 'VARCHAR' ? valueOfText(type, `c${index}`, name) : `c${index}`} AS ${ident(name)}`,
        )
        .join(', ');
    case 'csv':
      return columns.map(({ name }, index) => `c${index} AS ${ident(name)}`).join(', ');
    case 'jsonl': {
      const fields = columns.map(
        (column, index) => `${literal(`${index === 0 ? '{' : ','}${JSON.stringify(column.name)}:`)}, ${jsonOfText(column, `c${index}`)}`,
      );
      const partitions = format.partitionBy.map((name) => `c${columns.findIndex((column) => column.name === name)} AS ${ident(name)}`);
      return [`concat(${fields.join(', ')}, '}') AS ${ident(lineColumn)}`, ...partitions].join(', ');
    }
  }
}

/** Not a name that a table has. */
const lineColumn = '\u001fline';

/** JSON of a value's text, letter for letter: a number keeps its digits. */
function jsonOfText({ type }: ColumnSchema, x: string): string {
  const orNull = (expression: string) => `coalesce(${expression}, 'null')`;
  const base = baseType(type);
  switch (base.kind) {
    case 'bool':
      return orNull(`CASE ${x} WHEN 't' THEN 'true' WHEN 'f' THEN 'false' ELSE ${x} END`);
    case 'int2':
    case 'int4':
    case 'int8':
      return orNull(x);
    case 'float4':
    case 'float8':
      // JSON has no word for these, and a reader turns the integer -0 into 0.
      return orNull(
        `CASE WHEN ends_with(${x}, 'N') OR ends_with(${x}, 'y') THEN '"' || ${x} || '"' WHEN ${x} = '-0' THEN '-0.0' ELSE ${x} END`,
      );
    case 'numeric': {
      const size = decimalSize(base);
      // Readers keep 15 digits of a number: they go through a double.
      const number = size !== null && size.precision <= 15;
      return orNull(
        number ? `CASE WHEN ends_with(${x}, 'N') OR ends_with(${x}, 'y') THEN '"' || ${x} || '"' ELSE ${x} END` : `'"' || ${x} || '"'`,
      );
    }
    default:
      return orNull(`CAST(to_json(${x}) AS VARCHAR)`);
  }
}

/** One file, or a directory that DuckDB fills: `part-0.parquet`, `day=…/part-0.parquet`. */
function targetPath(target: string, format: FileFormat): string {
  return severalFiles(format) ? target : `${target}.${format.format}`;
}

const severalFiles = (format: FileFormat): boolean => format.partitionBy.length > 0 || format.fileBytes !== null;

function options(schema: RowSchema, format: FileFormat): string {
  const several = severalFiles(format)
    ? [
        `FILENAME_PATTERN 'part-{i}'`,
        ...(format.partitionBy.length > 0
          ? [`PARTITION_BY (${format.partitionBy.map(ident).join(', ')})`]
          : [`FILE_SIZE_BYTES ${format.fileBytes}`]),
      ]
    : [];
  const whole = format.partitionBy.length > 0 && format.format !== 'jsonl' ? ['WRITE_PARTITION_COLUMNS true'] : [];
  switch (format.format) {
    case 'parquet':
      // Row groups end at a size as well, so that rows of megabytes do not pile up 122,880 at a time.
      return [
        'FORMAT parquet',
        `COMPRESSION ${format.codec === 'none' ? 'uncompressed' : format.codec}`,
        `ROW_GROUP_SIZE ${format.rowGroupRows}`,
        `ROW_GROUP_SIZE_BYTES ${rowGroupBytes(schema)}`,
        'RETURN_STATS',
        ...dictionaries(schema),
        ...several,
        ...whole,
      ].join(', ');
    case 'csv':
      return [
        'FORMAT csv',
        'HEADER true',
        `DELIMITER ','`,
        `QUOTE '"'`,
        `ESCAPE '"'`,
        `NULLSTR ''`,
        `COMPRESSION ${packedByDuckDb(format)}`,
        'RETURN_FILES',
        ...several,
        ...whole,
      ].join(', ');
    case 'jsonl':
      return [
        'FORMAT csv',
        'HEADER false',
        `DELIMITER E'\\n'`,
        `QUOTE ''`,
        `ESCAPE ''`,
        `COMPRESSION ${packedByDuckDb(format)}`,
        'RETURN_FILES',
        ...several,
      ].join(', ');
  }
}

/** A dictionary of floats has one entry for 0 and -0, whichever comes first. DuckDB has no such option for a single column. */
const dictionaries = ({ columns }: RowSchema): string[] =>
  columns.some(({ type }) => ['float4', 'float8'].includes(baseType(type).kind)) ? ['DICTIONARY_SIZE_LIMIT 0'] : [];

/** zlib packs three times as fast as DuckDB's own gzip, so files are packed after it: see `csvToFiles`. */
const packedByDuckDb = ({ codec }: FileFormat): string => (codec === 'gzip' ? 'none' : codec);

/** In memory, before compression: 122,880 rows of sixteen short columns are 18 MB. */
const rowGroupBytes = (schema: RowSchema): number => (isNarrow(schema) ? 16 : 8) * 1024 * 1024;
