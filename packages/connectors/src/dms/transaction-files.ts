import type { InputFile } from '../duckdb/files-to-csv.ts';
import type { CsvDialect } from '../duckdb/read-sql.ts';
import { RowGuard } from '../duckdb/row-guard.ts';
import { textOf } from '../duckdb/text-file.ts';
import type { JournalFile } from './journal.ts';
import { leadingFields } from './numbered-inlet.ts';

/*
 * DMS closes a file of transactions when it is large enough or old enough, and says nowhere that a transaction ends with it: of a large one
 * there are several files. All changes of a transaction have the same time of commit. So a file whose last change has the time of the next
 * file's first belongs together with that; and whether the newest file is complete, only the next one or time can tell.
 */

/** Times of commit of the first and the last change in a file. */
export interface Edges {
  readonly first: string;
  readonly last: string;
}

const rowBytes = 32 * 1024 * 1024;
const lineFeed = 0x0a;
/** `operation, table, schema, time of commit, …` */
const commitField = 3;

/** Null for a file without changes. @throws FILE_CORRUPT */
export async function edgesOf(file: InputFile, dialect: CsvDialect, signal: AbortSignal): Promise<Edges | null> {
  const guard = new RowGuard(file, dialect, rowBytes);
  let first: Buffer | null = null;
  let last: Buffer | null = null;
  let rest: Buffer = Buffer.alloc(0);
  const take = (chunk: Buffer): void => {
    const end = chunk.lastIndexOf(lineFeed);
    if (end < 0) {
      rest = Buffer.concat([rest, chunk]);
      return;
    }
    const lines = rest.length > 0 ? Buffer.concat([rest, chunk.subarray(0, end)]) : chunk.subarray(0, end);
    const firstEnd = lines.indexOf(lineFeed);
    first ??= Buffer.from(firstEnd < 0 ? lines : lines.subarray(0, firstEnd));
    last = Buffer.from(lines.subarray(lines.lastIndexOf(lineFeed) + 1));
    rest = Buffer.from(chunk.subarray(end + 1));
  };
  for await (const chunk of textOf(file, signal)) take(guard.push(chunk, false));
  take(guard.end());
  if (first === null || last === null) return null;
  return { first: commitOf(first, dialect), last: commitOf(last, dialect) };
}

const commitOf = (line: Buffer, dialect: CsvDialect): string => leadingFields(line, commitField + 1, dialect)[commitField] ?? '';

export interface EdgedFile {
  readonly file: JournalFile;
  readonly edges: Edges | null;
}

/**
 * Files that belong together, by whole transactions, of files in the order of their stamps. What ends with a transaction that may go on is
 * left out, while `isYoung` says so of its last file.
 */
export function wholeTransactions(files: readonly EdgedFile[], isYoung: (file: JournalFile) => boolean): JournalFile[][] {
  const chains: EdgedFile[][] = [];
  let open: string | null = null;
  for (const edged of files) {
    const { edges } = edged;
    const chain = chains.at(-1);
    if (chain && (edges === null || edges.first === open)) chain.push(edged);
    else chains.push([edged]);
    if (edges !== null) open = edges.last;
  }
  const last = chains.at(-1)?.at(-1);
  if (last && isYoung(last.file)) chains.pop();
  return chains.map((chain) => chain.map(({ file }) => file));
}
