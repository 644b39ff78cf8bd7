import { isMillraceError, MillraceError } from '@millrace/core/runtime';
import type { InputFile } from './files-to-csv.ts';
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
export async function locate(error: unknown, files: readonly OpenedFile[], columns: readonly string[], duckdb: DuckDb): Promise<unknown> {
  if (!isMillraceError(error)) return error;
  const named = files.find(({ link }) => link === error.facts['file']) ?? (files.length === 1 ? files[0] : undefined);
  if (error.code === 'FILE_CORRUPT' && named) return at(error, named, undefined);
  const place = columns.indexOf(String(error.facts['column']));
  if (!['TYPE_MISMATCH', 'VALUE_UNREPRESENTABLE'].includes(error.code) || place < 0 || !duckdb.alive) return error;
  try {
    await duckdb.run('SET threads = 1');
    await duckdb.run('SET preserve_insertion_order = true');
    for (const opened of files) {
      const missing = error.message.includes('holds NULL');
      const found = missing ? 'r IS NULL' : 'left(r, 100) = $1';
      const [row] = await duckdb.run(
        `SELECT n FROM (SELECT row_number() OVER () AS n, ${opened.raw[place]} AS r FROM ${opened.source}) WHERE ${found} LIMIT 1`,
        missing ? [] : [String(error.facts['value'])],
      );
      if (row) return at(error, opened, Number(row[0]));
    }
  } catch {
    // The search is a courtesy: the error stands without the place.
  }
  return error;
}

function at(error: MillraceError, { file }: OpenedFile, row: number | undefined): MillraceError {
  const where = row === undefined ? file.label : `${file.label}, row ${row}`;
  return new MillraceError(error.code, {
    message: `${where}: ${error.message}`,
    remedy: error.remedy,
    facts: { ...error.facts, file: file.label, ...(row !== undefined && { row }) },
    cause: error,
  });
}
