import { MillraceError } from '@millrace/core/runtime';
import type { InputFile } from './files-to-csv.ts';
import type { DuckDb } from './process.ts';
import type { CsvDialect } from './read-sql.ts';
import { literal } from './sql.ts';

export interface FirstLine {
  readonly names: readonly string[];
  /** DuckDB wants to be told: where it guesses, a lone carriage return within quotes confuses it. */
  readonly lineEnd: '\n' | '\r\n';
}

/** The fields of a CSV file's first line, or null where the file is empty. @throws FILE_CORRUPT where a header has a name twice */
export async function firstLine(duckdb: DuckDb, link: string, file: InputFile, dialect: CsvDialect, rowBytes: number): Promise<FirstLine | null> {
  const [row] = await duckdb.run(
    `SELECT line FROM read_csv(${literal(link)}, columns = {'line': 'VARCHAR'}, auto_detect = false, header = false, delim = E'\\x1f', quote = '', escape = '', new_line = '\\n', strict_mode = false, ignore_errors = true, compression = ${literal(file.codec)}, parallel = false, max_line_size = ${rowBytes}, buffer_size = ${rowBytes}) LIMIT 1`,
  );
  if (!row) return null;
  const line = String(row[0] ?? '').replace(/^\ufeff/, '');
  const names = fields(line.replace(/\r$/, ''), dialect);
  const twice = dialect.header ? names.find((name, place) => names.indexOf(name) !== place) : undefined;
  if (twice === undefined) return { names, lineEnd: line.endsWith('\r') ? '\r\n' : '\n' };
  throw new MillraceError('FILE_CORRUPT', {
    message: `${file.label} has two columns named "${twice}".`,
    remedy: 'Give every column of the first line a name of its own.',
    facts: { file: file.label, column: twice },
  });
}

/** One line of CSV taken apart. A name that holds a line break is left out: its quote stays open, and no column has such a name. */
function fields(line: string, { delimiter, quote, escape }: CsvDialect): string[] {
  const names: string[] = [];
  let at = 0;
  for (;;) {
    if (quote !== '' && line.startsWith(quote, at)) {
      let name = '';
      at += quote.length;
      while (at < line.length) {
        if (line.startsWith(escape + quote, at)) {
          name += quote;
          at += escape.length + quote.length;
        } else if (line.startsWith(quote, at)) break;
        else name += line[at++];
      }
      names.push(name);
      at += quote.length;
    } else {
      const end = line.indexOf(delimiter, at);
      names.push(line.slice(at, end < 0 ? undefined : end));
      at = end < 0 ? line.length : end;
    }
    if (!line.startsWith(delimiter, at)) return names;
    at += delimiter.length;
  }
}
