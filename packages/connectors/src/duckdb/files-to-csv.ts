import { createReadStream } from 'node:fs';
import { symlink, unlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  type BytesChannel,
  isMillraceError,
  MillraceError,
  type RelationalOp,
  type RowSchema,
  type SecretRef,
} from '@millrace/core/runtime';
import { type ConversionContext, spoolName } from './conversion.ts';
import { locate, type OpenedFile } from './find-row.ts';
import { runWith } from './inlet.ts';
import { makePipe, openReader } from './pipe.ts';
import { lease } from './pool.ts';
import { type CsvDialect, fileQuery } from './read-sql.ts';
import { canonicalRows, relation } from './relational-sql.ts';
import { maxRowBytes } from './row-width.ts';
import { literal } from './sql.ts';

export interface InputFile {
  /** Where it stands on this machine. */
  readonly path: string;
  /** For messages: `s3://bucket/raw/a.parquet`. */
  readonly label: string;
  readonly format: 'parquet' | 'csv' | 'jsonl';
  readonly codec: 'gzip' | 'zstd' | 'none';
  /** Columns that it is known not to have: NULL in every row. */
  readonly absent?: readonly string[];
  /** `canonicalDialect` where it is left out. */
  readonly csv?: CsvDialect;
}

export interface FilesToCsv {
  /** All of one format. */
  readonly files: readonly InputFile[];
  /** The columns to read, as the table declares them. Files may have more, and in another order where they name them. */
  readonly schema: RowSchema;
  /** Done by DuckDB, with the results of the same operations over batches. See `absorbable`. */
  readonly absorbed: readonly RelationalOp[];
  readonly maxRowBytes?: number;
}

export interface ReadContext extends ConversionContext {
  secret(ref: SecretRef): Promise<string>;
}

/**
 * Reads files as canonical CSV. They are opened and their columns held against the schema before this promise settles. The
 * stream ends only when the converter has said that all rows are in it; `done` has their number. Who stops reading early
 * destroys the stream.
 *
 * @throws FILE_CORRUPT, SCHEMA_DRIFT with file and column. TYPE_MISMATCH for a value, with its row, comes through stream and `done`.
 */
export async function filesToCsv(request: FilesToCsv, context: ReadContext): Promise<BytesChannel> {
  const leased = await lease('reader', context, maxRowBytes(request.schema, request.maxRowBytes));
  const spooled: string[] = [];
  const release = async () => {
    await leased[Symbol.asyncDispose]();
    await Promise.all(spooled.map((name) => unlink(join(context.spool, name)).catch(() => {})));
  };
  try {
    const opened: OpenedFile[] = [];
    for (const file of request.files) {
      // DuckDB sees a name without wildcards, and no message of its own can show a path of the user's.
      const link = spoolName('file', `.${file.format}`);
      spooled.push(link);
      await symlink(resolve(file.path), join(context.spool, link));
      try {
        opened.push({ ...(await fileQuery(leased.duckdb, file, link, request, context.signal)), file, link });
      } catch (error) {
        throw isMillraceError(error) && error.code === 'FILE_CORRUPT' && error.facts['file'] !== file.label
          ? await locate(error, [{ file, link, sql: '', source: '', raw: [], inlet: null }], [], leased.duckdb, context)
          : error;
      }
    }
    const form = request.files[0]?.format === 'parquet' ? 'value' : 'text';
    const base = opened.map(({ sql }) => sql).join(' UNION ALL ');
    const rows = await relation(request.absorbed, request.schema, base, form, (ref) => context.secret(ref));
    const output = spoolName('rows', '.csv');
    spooled.push(output);
    const statement = `COPY (${canonicalRows(rows)}) TO ${literal(output)} (FORMAT csv, HEADER false, DELIMITER ',', QUOTE '"', ESCAPE '"', NULLSTR '', COMPRESSION 'none', USE_TMP_FILE false)`;
    const columns = rows.columns.map(({ name, type, nullable }) => ({ name, type, nullable }));
    const piped = await makePipe(context.spool, output);
    const { stream, finish } = piped ? openReader(join(context.spool, output)) : { stream: new PassThrough(), finish: () => {} };
    const inlets = opened.flatMap(({ inlet }) => (inlet ? [inlet] : []));
    const counted = form === 'text' && !request.absorbed.some(({ op }) => op === 'filter' || op === 'dedupe');
    const names = request.schema.columns.map(({ name }) => name);
    // Who reads hears of an error as well, and who does not yet read must not bring the process down.
    stream.on('error', () => {});
    let running = true;
    const convert = async () => {
      try {
        const { result, rows: given } = await runWith(leased.duckdb, statement, rows.values, inlets, context);
        const count = Number(result[0]?.[0] ?? 0);
        if (counted && count !== given) throw rowsLost(given, count, opened);
        running = false;
        finish();
        if (!piped) await pipeline(createReadStream(join(context.spool, output)), stream as PassThrough).catch(() => {});
        return { rows: count };
      } catch (error) {
        const located = await locate(error, opened, names, leased.duckdb, context);
        running = false;
        stream.destroy(located as Error);
        throw located;
      } finally {
        await release();
      }
    };
    const done = convert();
    done.catch(() => {});
    // Nobody reads the pipe any more: the statement would wait for ever.
    stream.once('close', () => {
      if (running) void leased.duckdb.kill();
    });
    return { format: 'csv', schema: { columns, ...(request.schema.key && { key: request.schema.key }) }, stream, done };
  } catch (error) {
    if (leased.duckdb.busy) await leased.duckdb.kill(error as Error);
    await release();
    throw error;
  }
}

function rowsLost(given: number, written: number, files: readonly OpenedFile[]): MillraceError {
  return new MillraceError('FILE_CORRUPT', {
    message: `${files.map(({ file }) => file.label).join(', ')}: ${given} rows are there, and ${written} could be read.`,
    remedy: 'Look for rows that do not follow the format, such as text behind a closing quote.',
    facts: { given, written },
  });
}
