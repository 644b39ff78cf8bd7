import { createReadStream } from 'node:fs';
import { symlink, unlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type BytesChannel, isMillraceError, type RelationalOp, type RowSchema, type SecretRef } from '@millrace/core/runtime';
import { type ConversionContext, spoolName } from './conversion.ts';
import { locate, type OpenedFile } from './find-row.ts';
import { makePipe, openReader } from './pipe.ts';
import { lease } from './pool.ts';
import { type CsvDialect, fileQuery } from './read-sql.ts';
import { canonicalRows, relation } from './relational-sql.ts';
import { literal } from './sql.ts';

export interface InputFile {
  /** Where it stands on this machine. */
  readonly path: string;
  /** For messages: `s3://bucket/raw/a.parquet`. */
  readonly label: string;
  readonly format: 'parquet' | 'csv' | 'jsonl';
  readonly codec: 'gzip' | 'zstd' | 'none';
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
  const leased = await lease('reader', context);
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
        opened.push({ ...(await fileQuery(leased.duckdb, file, link, request)), file, link });
      } catch (error) {
        throw isMillraceError(error) && error.code === 'FILE_CORRUPT' && error.facts['file'] !== file.label
          ? await locate(error, [{ file, link, sql: '', source: '', raw: [] }], [], leased.duckdb)
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
    let running = true;
    const done = leased.duckdb.run(statement, rows.values).then(
      async (result) => {
        running = false;
        finish();
        if (!piped) await pipeline(createReadStream(join(context.spool, output)), stream as PassThrough).catch(() => {});
        await release();
        return { rows: Number(result[0]?.[0] ?? 0) };
      },
      async (error: unknown) => {
        const located = await locate(error, opened, request.schema.columns.map(({ name }) => name), leased.duckdb);
        running = false;
        await release();
        stream.destroy(located as Error);
        throw located;
      },
    );
    done.catch(() => {});
    // Nobody reads the pipe any more: the statement would wait for ever.
    stream.once('close', () => {
      if (running) void leased.duckdb.kill();
    });
    return { format: 'csv', schema: { columns, ...(request.schema.key && { key: request.schema.key }) }, stream, done };
  } catch (error) {
    await leased.duckdb.kill(error as Error);
    await release();
    throw error;
  }
}
