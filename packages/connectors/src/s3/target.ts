import {
  type Connection,
  describeSetting,
  MillraceError,
  type RowSchema,
  type Selection,
  type Setting,
  type Target,
  type TargetProblem,
} from '@millrace/core/runtime';
import type { FileLayout } from './layout.ts';
import { openStorage, type StoreSettings } from './open-storage.ts';
import { FileSink } from './sink.ts';

/** Bytes, or `'128MB'`. */
export type Size = number | `${number}${'KB' | 'MB' | 'GB'}`;

interface LayoutOptions {
  /** Where the dataset stands under the connection's place: `'orders/'`. One dataset for each prefix. */
  readonly prefix: string;
  /** `append` (default) adds to what is there; `replace` puts the load in place of all that is there. */
  readonly mode?: 'append' | 'replace';
  /** About where a file ends and the next begins. One file for each split by default; not together with `partitionBy`. */
  readonly fileBytes?: Size;
  /** Columns whose values become directories: `day=2024-02-29/`. They stay in the files as well, so that a COPY finds every column. */
  readonly partitionBy?: readonly string[];
  /** The longest row, as CSV. 32 MB by default; memory grows with it. */
  readonly maxRowBytes?: Size;
  /** Files of loads that never committed are deleted after so many hours, 24 by default: longer than any load takes. */
  readonly orphanHours?: number;
}

export interface ParquetOptions extends LayoutOptions {
  /** `snappy` by default: every reader has it. */
  readonly codec?: 'snappy' | 'zstd' | 'none';
  /** 122,880 by default. */
  readonly rowGroupRows?: number;
}

export interface TextOptions extends LayoutOptions {
  /** `gzip` by default. */
  readonly codec?: 'gzip' | 'zstd' | 'none';
}

export interface FilePlace {
  readonly url: Setting;
  readonly settings: StoreSettings;
  readonly connection: Connection;
}

/** Any rows. */
export type FileTarget = Target<unknown, 'rows', 'files'>;

export function fileTarget(
  place: FilePlace,
  format: FileLayout['format'],
  options: ParquetOptions | TextOptions,
  stored: (schema: RowSchema) => Selection,
): FileTarget {
  const layout = layoutOf(format, options);
  const { prefix, orphanHours: _, maxRowBytes: __, format: ___, mode, ...shown } = layout;
  return Object.freeze({
    kind: 'target',
    takes: 'rows',
    leaves: 'files',
    connection: place.connection,
    via: 'duckdb',
    description: {
      connector: 's3',
      object: prefix,
      connection: describeSetting(place.url),
      mode,
      guarantee: 'exactly-once',
      options: { format, ...shown },
    },
    schema: null,
    accepts: ['csv', 'batches'],
    problems: (input) => problemsOf(layout, input),
    ddl: () => [],
    stored,
    async open(context) {
      const url = typeof place.url === 'string' ? place.url : await context.secret(place.url);
      return new FileSink(await openStorage(url, place.settings, context, prefix), layout, context);
    },
  } satisfies FileTarget);
}

function layoutOf(format: FileLayout['format'], options: ParquetOptions | TextOptions): FileLayout {
  const { prefix, mode = 'append', fileBytes, partitionBy = [], maxRowBytes, orphanHours = 24 } = options;
  if (mode !== 'append' && mode !== 'replace') {
    throw new MillraceError('PIPELINE_INVALID', {
      message: `Files cannot be loaded with mode "${mode as string}".`,
      remedy: "Use 'append' or 'replace'; merge in the database that the files go to.",
    });
  }
  if (!(orphanHours > 0))
    throw new MillraceError('PIPELINE_INVALID', {
      message: 'orphanHours must be more than 0.',
      remedy: 'Leave it out, or give it more hours than a load takes.',
    });
  return {
    format,
    prefix,
    mode,
    codec: options.codec ?? (format === 'parquet' ? 'snappy' : 'gzip'),
    partitionBy: [...partitionBy],
    rowGroupRows: 'rowGroupRows' in options && options.rowGroupRows !== undefined ? options.rowGroupRows : 122_880,
    fileBytes: fileBytes === undefined ? null : bytesOf(fileBytes),
    ...(maxRowBytes !== undefined && { maxRowBytes: bytesOf(maxRowBytes) }),
    orphanHours,
  };
}

const units = { KB: 1024, MB: 1024 ** 2, GB: 1024 ** 3 } as const;

/** @throws PIPELINE_INVALID */
export function bytesOf(size: Size): number {
  const match = /^(\d+(?:\.\d+)?)(KB|MB|GB)$/.exec(String(size));
  const bytes = typeof size === 'number' ? size : match ? Number(match[1]) * units[match[2] as keyof typeof units] : Number.NaN;
  if (Number.isFinite(bytes) && bytes >= 1) return Math.floor(bytes);
  throw new MillraceError('PIPELINE_INVALID', { message: `"${size}" is not a size.`, remedy: "Write a number of bytes, or '128MB'." });
}

function problemsOf(layout: FileLayout, { columns }: RowSchema): TargetProblem[] {
  const problems: TargetProblem[] = [];
  const names = new Set(columns.map(({ name }) => name));
  for (const name of layout.partitionBy) {
    if (!names.has(name))
      problems.push({ message: `partitionBy names "${name}", which is not a column.`, remedy: `Use one of ${[...names].join(', ')}.` });
  }
  if (layout.partitionBy.length > 0 && layout.fileBytes !== null) {
    problems.push({
      message: 'fileBytes and partitionBy cannot be used together.',
      remedy: 'Leave fileBytes out: every partition of a split is a file of its own.',
    });
  }
  // Readers of Parquet (DuckDB, Spark, Redshift) take no notice of case.
  const seen = new Map<string, string>();
  for (const { name } of columns) {
    const other = seen.get(name.toLowerCase());
    if (other !== undefined)
      problems.push({
        message: `The columns "${other}" and "${name}" differ in case only, and files do not tell them apart.`,
        remedy: 'Rename one of them.',
      });
    seen.set(name.toLowerCase(), name);
  }
  return problems;
}
