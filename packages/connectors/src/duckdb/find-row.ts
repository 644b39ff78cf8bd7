import { isMillraceError, MillraceError } from '@millrace/core/runtime';
import type { ConversionContext } from './conversion.ts';
import type { InputFile } from './files-to-csv.ts';
import { runWith } from './inlet.ts';
import type { DuckDb } from './process.ts';
import type { FileQuery } from './read-sql.ts';

export interface OpenedFile extends FileQuery {
  readonly file: InputFile;
  /** Its name in the spool, which DuckDB's messages show. */
  readonly link: string;
}

/**
 * An error of a statement over files, with the file's name and the row where they can be told. A bad value stopped the statement
 * somewhere; the files are read once more, in order, until the first row that holds it.
 */
export async function locate(
  error: unknown,
  files: readonly OpenedFile[],
  columns: readonly string[],
  duckdb: DuckDb,
  context: ConversionContext,
): Promise<unknown> {
  if (!isMillraceError(error)) return error;
  const name = error.facts['file'];
  const named =
    files.find(({ link, inlet }) => name !== undefined && (link === name || inlet?.name === name)) ??
    (files.length === 1 ? files[0] : undefined);
  const line = error.facts['line'];
  if (error.code === 'FILE_CORRUPT' && error.facts['value'] === undefined && named)
    return at(error, named, typeof line === 'number' ? line : undefined);
  const column = error.facts['column'];
  const place = columns.indexOf(String(column));
  if (!['TYPE_MISMATCH', 'VALUE_UNREPRESENTABLE', 'FILE_CORRUPT'].includes(error.code) || (place < 0 && column !== '') || !duckdb.alive)
    return error;
  try {
    await duckdb.run('SET threads = 1');
    await duckdb.run('SET preserve_insertion_order = true');
    for (const opened of files) {
      const missing = error.message.includes('holds NULL');
      const found = missing ? 'r IS NULL' : 'left(r, 100) = $1';
      const { result } = await runWith(
        duckdb,
        `SELECT n FROM (SELECT row_number() OVER () AS n, ${column === '' ? opened.line : opened.raw[place]} AS r FROM ${opened.source}) WHERE ${found} LIMIT 1`,
        missing ? [] : [String(error.facts['value'])],
        opened.inlet ? [opened.inlet] : [],
        context,
      );
      const [row] = result;
      if (row) return at(error, opened, Number(row[0]));
    }
  } catch {
    // The search is a courtesy: the error stands without the place.
  }
  return error;
}

function at(error: MillraceError, { file }: OpenedFile, row: number | undefined): MillraceError {
  if (error.message.startsWith(file.label)) return error;
  const where = row === undefined ? file.label : `${file.label}, row ${row}`;
  return new MillraceError(error.code, {
    message: `${where}: ${error.message.replace(/^line \d+: /, '')}`,
    remedy: error.remedy,
    facts: { ...error.facts, file: file.label, ...(row !== undefined && { row }) },
    cause: error,
  });
}
