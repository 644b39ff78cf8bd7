import { rm, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type BytesChannel, isMillraceError, MillraceError, type RowSchema, typeName } from '@millrace/core/runtime';
import { type ConversionContext, spoolName } from './conversion.ts';
import { digest, gzip } from './digest.ts';
import { refusal } from './failure.ts';
import { feed } from './feed.ts';
import type { InputFile } from './files-to-csv.ts';
import { lease } from './pool.ts';
import type { Row } from './process.ts';
import { canonicalDialect } from './read-sql.ts';
import { maxRowBytes } from './row-width.ts';
import { countRows, csvInlet, jsonlInlet } from './text-inlet.ts';
import { copyStatement } from './write-sql.ts';

export interface FileFormat {
  readonly format: 'parquet' | 'csv' | 'jsonl';
  /** Parquet: `snappy`, `zstd` or `none`; text formats: `gzip`, `zstd` or `none`. */
  readonly codec: 'snappy' | 'zstd' | 'gzip' | 'none';
  /** Columns whose values become directories (`day=2024-02-29/`); they stay in the file as well. */
  readonly partitionBy: readonly string[];
  readonly rowGroupRows: number;
  /** About where a file ends and the next begins; null for one file. Not together with `partitionBy`. */
  readonly fileBytes: number | null;
  readonly maxRowBytes?: number;
}

export interface WrittenFile {
  /** In the spool, absolute. */
  readonly path: string;
  /** `day=2024-02-29`, with hive's percent encoding; '' without partitions. */
  readonly partition: string;
  readonly extension: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
  /** Of Parquet. Bounds for numbers, dates and times only: text may be private. */
  readonly columns: Readonly<Record<string, ColumnStatistics>> | null;
}

export interface ColumnStatistics {
  readonly nulls: number;
  readonly min?: string;
  readonly max?: string;
}

/**
 * Writes a stream of canonical CSV into files under the spool. They count only when this promise has settled: the stream has
 * ended, its source has said that all rows came, and as many are in the files. Where anything fails the converter is killed
 * before its input ends, for DuckDB takes an end for the end of the data and would leave a valid file that lacks rows.
 *
 * @throws VALUE_UNREPRESENTABLE with column and value · WIRE_CORRUPT where rows are missing or the stream is not CSV
 */
export async function csvToFiles(channel: BytesChannel, format: FileFormat, context: ConversionContext): Promise<WrittenFile[]> {
  // The source may break off while this waits for a place.
  channel.stream.on('error', () => {});
  channel.done.catch(() => {});
  const rowBytes = maxRowBytes(channel.schema, format.maxRowBytes);
  await using leased = await lease('writer', context, rowBytes).catch((error: unknown) => {
    channel.stream.destroy(error as Error);
    throw error;
  });
  const { duckdb } = leased;
  const target = spoolName('out');
  const input = spoolName('in', '.csv');
  try {
    const { rows, result } = await feed({ channel, duckdb, path: join(context.spool, input), rowBytes, context }, (parallel) =>
      duckdb.run(copyStatement(channel.schema, format, { input, target, parallel, rowBytes })).catch((error: unknown) => {
        throw ofStream(error, channel.schema);
      }),
    );
    const files = await writtenFiles(channel.schema, format, result, context);
    const written = files.reduce((sum, file) => sum + file.rows, 0);
    if (written !== rows) throw rowsMissing(rows, written);
    return files;
  } catch (error) {
    if (duckdb.busy) await duckdb.kill(error as Error);
    for (const left of [target, `${target}.${format.format}`]) await rm(join(context.spool, left), { recursive: true, force: true });
    throw error;
  } finally {
    await unlink(join(context.spool, input)).catch(() => {});
  }
}

/**
 * What the converter takes for a corrupt file is a stream that went wrong on its way, which another attempt may mend; where the source
 * itself has met a corrupt file, it says so. A value that the converter did not take is known to it by its column's number.
 */
function ofStream(error: unknown, { columns }: RowSchema): unknown {
  if (!isMillraceError(error)) return error;
  const column = columns[Number(/^c(\d+)$/.exec(String(error.facts['column']))?.[1] ?? Number.NaN)];
  if (error.code === 'TYPE_MISMATCH' && column)
    return refusal('unrepresentable', column.name, typeName(column.type), String(error.facts['value']));
  if (error.code !== 'FILE_CORRUPT') return error;
  return new MillraceError('WIRE_CORRUPT', {
    message: `The stream from the source is not CSV as it should be: ${error.message}`,
    remedy: 'The part was thrown away and is made again.',
    facts: error.facts,
    cause: error,
  });
}

function rowsMissing(sent: number, written: number): MillraceError {
  return new MillraceError('WIRE_CORRUPT', {
    message: `The source sent ${sent} rows and the converter wrote ${written}.`,
    remedy: 'The part was thrown away and is made again.',
    facts: { sent, written },
  });
}

async function writtenFiles(
  schema: RowSchema,
  format: FileFormat,
  result: readonly Row[],
  context: ConversionContext,
): Promise<WrittenFile[]> {
  const listed = format.format === 'parquet' ? parquetFiles(result, schema) : await textFiles(schema, format, result, context);
  const files: WrittenFile[] = [];
  for (const { name, rows, columns } of listed) {
    const path = join(context.spool, name);
    if (rows === 0) {
      await unlink(path);
      continue;
    }
    const partition = name.split('/').slice(1, -1).join('/');
    const finished = format.codec === 'gzip' ? await gzip(path, context.signal) : path;
    const { size } = await stat(finished);
    files.push({
      path: finished,
      partition,
      extension: extension(format),
      rows,
      bytes: size,
      sha256: await digest(finished, context.signal),
      columns,
    });
  }
  return files;
}

interface Listed {
  readonly name: string;
  readonly rows: number;
  readonly columns: Readonly<Record<string, ColumnStatistics>> | null;
}

/** RETURN_STATS: file name, rows, bytes, footer bytes, statistics by column, partition keys. */
function parquetFiles(result: readonly Row[], schema: RowSchema): Listed[] {
  type Entries<Value> = readonly { readonly key: string; readonly value: Value }[];
  const bounded = new Set(schema.columns.filter(({ type }) => hasPublicBounds(type.kind)).map(({ name }) => name));
  return result.map((row) => {
    const statistics = row[4] as Entries<Entries<string>>;
    const columns = statistics.map(({ key, value }) => {
      const name = key.replace(/^"|"$/g, '').replaceAll('""', '"');
      const of = Object.fromEntries(value.map((entry) => [entry.key, entry.value]));
      const bounds = bounded.has(name) && of['min'] !== undefined && of['max'] !== undefined ? { min: of['min'], max: of['max'] } : {};
      return [name, { nulls: Number(of['null_count'] ?? 0), ...bounds }] as const;
    });
    return { name: row[0] as string, rows: Number(row[1]), columns: Object.fromEntries(columns) };
  });
}

const hasPublicBounds = (kind: string): boolean =>
  ['int2', 'int4', 'int8', 'float4', 'float8', 'numeric', 'date', 'time', 'timestamp', 'timestamptz'].includes(kind);

/** RETURN_FILES: rows of all, then the names. Where there are several, each is read once more to be counted. */
async function textFiles(schema: RowSchema, format: FileFormat, result: readonly Row[], context: ConversionContext): Promise<Listed[]> {
  const [total, names] = result[0] as [string, readonly string[] | null];
  if (!names || names.length <= 1) return (names ?? []).map((name) => ({ name, rows: Number(total), columns: null }));
  const rowBytes = maxRowBytes(schema, format.maxRowBytes);
  const listed: Listed[] = [];
  for (const name of names) {
    const file: InputFile = {
      path: join(context.spool, name),
      label: name,
      format: format.format,
      codec: format.codec === 'zstd' ? 'zstd' : 'none',
    };
    const inlet =
      format.format === 'csv'
        ? csvInlet(file, canonicalDialect, rowBytes, schema.columns.length === 1, context.signal)
        : jsonlInlet(file, rowBytes, context.signal);
    listed.push({ name, rows: await countRows(inlet), columns: null });
  }
  return listed;
}

/** What a file's name ends with: `.parquet`, `.csv.gz`, `.jsonl`. */
export function extension(format: Pick<FileFormat, 'format' | 'codec'>): string {
  const packed = format.format === 'parquet' ? '' : format.codec === 'gzip' ? '.gz' : format.codec === 'zstd' ? '.zst' : '';
  return `.${format.format}${packed}`;
}
