import { rowTooLong } from './failure.ts';
import type { InputFile } from './files-to-csv.ts';
import { guarded } from './line-guard.ts';
import type { CsvDialect } from './read-sql.ts';
import { corrupt } from './text-file.ts';

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const sub = 0x1a;

/** Where a byte stands: at the start of a field, within a plain one, within quotes, behind a quote that may have closed it, behind an escape. */
const start = 0;
const plain = 1;
const quoted = 2;
const after = 3;
const escaped = 4;

/**
 * Rows of a CSV file of any dialect for DuckDB's parallel reader, which loses its way in line breaks within values and passes over
 * what it cannot make sense of (an open quote, an unexpected line end) without a word. What comes out has a line feed at every row's end and
 * nowhere else (`line-guard.ts`), no header and no empty lines; fields stay as they are.
 */
export class RowGuard {
  readonly #file: InputFile;
  readonly #rowBytes: number;
  readonly #delimiter: number;
  readonly #quote: number;
  readonly #escape: number;
  #at: number = start;
  /** A carriage return outside of quotes came last: half of a line end, or part of a value. */
  #returned = false;
  #skipping: boolean;
  #rowLength = 0;
  /** Rows handed out. */
  rows = 0;

  constructor(file: InputFile, dialect: CsvDialect, rowBytes: number) {
    this.#file = file;
    this.#rowBytes = rowBytes;
    this.#delimiter = dialect.delimiter.charCodeAt(0);
    this.#quote = dialect.quote.charCodeAt(0);
    this.#escape = dialect.escape.charCodeAt(0);
    this.#skipping = dialect.header;
  }

  /** `single`: of one column, where an empty line is a row. @throws UNSUPPORTED for a row that is too long */
  push(chunk: Buffer, single: boolean): Buffer {
    const pieces: Buffer[] = [];
    const quote = this.#quote;
    const escaping = this.#escape;
    const delimiter = this.#delimiter;
    let at = this.#at;
    let from = 0;
    let rowFrom = 0;
    const take = (to: number, instead?: Buffer) => {
      if (!this.#skipping && to > from) pieces.push(chunk.subarray(from, to));
      if (!this.#skipping && instead) pieces.push(instead);
      from = to + 1;
    };
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i]!;
      if (this.#returned) {
        this.#returned = false;
        if (byte !== lineFeed) {
          if (!this.#skipping) pieces.push(guarded(carriageReturn));
          this.#rowLength++;
          if (at === start) at = plain;
        }
      }
      if (at === plain) {
        // Most bytes are within a field, and mean nothing.
        if (byte > sub && byte !== delimiter) continue;
      } else if (at === quoted) {
        if (byte === quote) at = escaping === quote ? after : plain;
        else if (byte === escaping) at = escaped;
        else if (byte === lineFeed || byte === carriageReturn || byte === sub) take(i, guarded(byte));
        continue;
      } else if (at === escaped) {
        at = quoted;
        if (byte === lineFeed || byte === carriageReturn || byte === sub) take(i, guarded(byte));
        continue;
      } else if (byte === quote) {
        // At the start of a field, or doubled within it.
        at = quoted;
        continue;
      }
      if (byte === delimiter) at = start;
      else if (byte === lineFeed) {
        const length = this.#rowLength + i - rowFrom;
        if (length >= this.#rowBytes) throw rowTooLong();
        if (length === 0 && !single) take(i);
        else if (this.#skipping) {
          this.#skipping = false;
          from = i + 1;
        } else this.rows++;
        this.#rowLength = 0;
        rowFrom = i + 1;
        at = start;
      } else if (byte === carriageReturn) {
        take(i);
        rowFrom++;
        this.#returned = true;
      } else {
        if (byte === sub) take(i, guarded(byte));
        at = plain;
      }
    }
    this.#at = at;
    this.#rowLength += chunk.length - rowFrom;
    if (this.#rowLength >= this.#rowBytes) throw rowTooLong();
    if (from === 0 && pieces.length === 0 && !this.#skipping) return chunk;
    take(chunk.length);
    return Buffer.concat(pieces);
  }

  /** The end of the last row, where the file has none. @throws FILE_CORRUPT for a quote that nobody closed */
  end(): Buffer {
    if (this.#at === quoted || this.#at === escaped) throw corrupt(this.#file, 'a quote is not closed', this.rows + 1);
    if (this.#rowLength === 0 || this.#skipping) return Buffer.alloc(0);
    this.rows++;
    return Buffer.from('\n');
  }
}
