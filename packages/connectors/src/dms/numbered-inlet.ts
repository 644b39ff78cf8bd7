import { statSync } from 'node:fs';
import { spoolName } from '../duckdb/conversion.ts';
import type { InputFile } from '../duckdb/files-to-csv.ts';
import type { Inlet } from '../duckdb/inlet.ts';
import type { CsvDialect } from '../duckdb/read-sql.ts';
import { RowGuard } from '../duckdb/row-guard.ts';
import { textOf } from '../duckdb/text-file.ts';
import type { TablePlace } from './mappings.ts';

const lineFeed = 0x0a;
const smallBytes = 1024 * 1024;

/**
 * The rows of a CSV file, each with its number in a field of its own at the front, since DuckDB reads them side by side. Of a file of
 * transactions (`operation, table, schema, …`), those of one table.
 */
export function numberedInlet(file: InputFile, dialect: CsvDialect, rowBytes: number, only: TablePlace | null, signal: AbortSignal): Inlet {
  let given = 0;
  return {
    name: spoolName('dms', '.csv'),
    isSmall: statSync(file.path).size <= smallBytes,
    async *bytes() {
      given = 0;
      let number = 0;
      const guard = new RowGuard(file, dialect, rowBytes);
      let rest: Buffer = Buffer.alloc(0);
      const take = (chunk: Buffer): Buffer => {
        const pieces: Buffer[] = [];
        let from = 0;
        for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, from)) {
          const line = rest.length > 0 ? Buffer.concat([rest, chunk.subarray(from, end + 1)]) : chunk.subarray(from, end + 1);
          rest = Buffer.alloc(0);
          from = end + 1;
          number++;
          if (only && !isOf(line, only, dialect)) continue;
          given++;
          pieces.push(Buffer.from(`${number}${dialect.delimiter}`), line);
        }
        rest = rest.length > 0 ? Buffer.concat([rest, chunk.subarray(from)]) : Buffer.from(chunk.subarray(from));
        return Buffer.concat(pieces);
      };
      for await (const chunk of textOf(file, signal)) yield take(guard.push(chunk, false));
      yield take(guard.end());
    },
    rows: () => given,
  };
}

/** The second and third field of a line are this table's. */
function isOf(line: Buffer, { table, schema }: TablePlace, dialect: CsvDialect): boolean {
  const fields = leadingFields(line, 3, dialect);
  return fields[1] === table && fields[2] === schema;
}

/** The first so many fields of a line, of which DMS's own are never long. */
export function leadingFields(line: Buffer, count: number, { delimiter, quote }: CsvDialect): string[] {
  const text = line.toString('utf8', 0, Math.min(line.length, 2_048));
  const fields: string[] = [];
  let at = 0;
  while (fields.length < count && at < text.length) {
    let field = '';
    if (quote !== '' && text[at] === quote) {
      for (at++; at < text.length; at++) {
        if (text[at] === quote && text[at + 1] === quote) at++;
        else if (text[at] === quote) break;
        field += text[at];
      }
      at++;
    } else {
      const end = text.indexOf(delimiter, at);
      field = text.slice(at, end < 0 ? text.length : end);
      at = end < 0 ? text.length : end;
    }
    fields.push(field);
    at += delimiter.length;
  }
  return fields;
}
