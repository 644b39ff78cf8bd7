import { spoolName } from './conversion.ts';
import { rowTooLong } from './failure.ts';
import type { InputFile } from './files-to-csv.ts';
import type { Inlet } from './inlet.ts';
import type { CsvDialect } from './read-sql.ts';
import { RowGuard } from './row-guard.ts';
import { textOf } from './text-file.ts';

/** The rows of a CSV file as `RowGuard` hands them out. `single`: a file of one column, where an empty line is a NULL. */
export function csvInlet(file: InputFile, dialect: CsvDialect, rowBytes: number, single: boolean, signal: AbortSignal): Inlet {
  let guard = new RowGuard(file, dialect, rowBytes);
  return {
    name: spoolName('in', '.csv'),
    async *bytes() {
      guard = new RowGuard(file, dialect, rowBytes);
      for await (const chunk of textOf(file, signal)) yield guard.push(chunk, single);
      yield guard.end();
    },
    rows: () => guard.rows,
  };
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const endOfLine = Buffer.from('\n');

/** The lines of a file, counted where they hold anything. */
export function jsonlInlet(file: InputFile, rowBytes: number, signal: AbortSignal): Inlet {
  let rows = 0;
  return {
    name: spoolName('in', '.jsonl'),
    async *bytes() {
      rows = 0;
      let blank = true;
      let length = 0;
      for await (const chunk of textOf(file, signal)) {
        let from = 0;
        for (let at = 0; at < chunk.length; at++) {
          const byte = chunk[at]!;
          if (byte === lineFeed) {
            if (!blank) rows++;
            else {
              yield chunk.subarray(from, Math.max(at - length, from));
              from = at + 1;
            }
            blank = true;
            length = 0;
          } else {
            length++;
            // A carriage return is blank space in JSON, and a riddle to the CSV reader.
            if (byte === carriageReturn) chunk[at] = 0x20;
            if (byte > 0x20) blank = false;
          }
        }
        if (length >= rowBytes) throw rowTooLong();
        yield chunk.subarray(from);
      }
      if (!blank) {
        rows++;
        yield endOfLine;
      }
    },
    rows: () => rows,
  };
}

/** Rows of a text file that was just written. */
export async function countRows(inlet: Inlet): Promise<number> {
  for await (const _ of inlet.bytes());
  return inlet.rows();
}
