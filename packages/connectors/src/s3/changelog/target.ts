import { type ChangeTarget, describeSetting, MillraceError, type StreamTables, type TargetProblem } from '@millrace/core/runtime';
import { openStorage } from '../open-storage.ts';
import { bytesOf, type FilePlace, type Size } from '../target.ts';
import { logColumnNames } from './columns.ts';
import type { LogLayout } from './layout.ts';
import { type RollOptions, rollOf } from './roll.ts';
import { ChangeLogSink } from './sink.ts';

export interface ChangeLogOptions {
  /** Where the log stands under the connection's place: `'changes/'`. One log for each prefix. */
  readonly prefix: string;
  /** `jsonl` by default: it holds every value there is. Parquet stops at an infinite date, or at NaN in a `numeric(p, s)`. */
  readonly format?: 'jsonl' | 'parquet' | 'csv';
  /** When what has come becomes files: `{ every: '5m', size: '128MB' }` by default. */
  readonly roll?: RollOptions;
  /** `gzip` by default, `snappy` for Parquet. */
  readonly compression?: 'gzip' | 'zstd' | 'snappy' | 'none';
  /** The longest row, as CSV. 32 MB by default; memory grows with it. */
  readonly maxRowBytes?: Size;
  /** Files of attempts that died are deleted after so many hours, 24 by default. */
  readonly orphanHours?: number;
}

/** Every change of every table, as files. */
export function changeLogTarget(place: FilePlace, options: ChangeLogOptions): ChangeTarget<unknown> {
  const layout = layoutOf(options);
  const { prefix, files, roll } = layout;
  return Object.freeze({
    kind: 'change-target',
    description: {
      connector: 's3',
      object: prefix,
      connection: describeSetting(place.url),
      mode: 'log',
      guarantee: 'exactly-once',
      options: { format: files.format, codec: files.codec, roll: { ...roll } },
    },
    connection: place.connection,
    accepts: ['csv', 'batches'],
    problems,
    ddl: () => [],
    async open(context) {
      const url = typeof place.url === 'string' ? place.url : await context.secret(place.url);
      return new ChangeLogSink(await openStorage(url, place.settings, context, prefix), layout, context);
    },
  } satisfies ChangeTarget<unknown>);
}

const codecs = { jsonl: ['gzip', 'zstd', 'none'], csv: ['gzip', 'zstd', 'none'], parquet: ['snappy', 'zstd', 'none'] } as const;

/** @throws PIPELINE_INVALID */
function layoutOf({ prefix, format = 'jsonl', roll, compression, maxRowBytes, orphanHours = 24 }: ChangeLogOptions): LogLayout {
  const possible: readonly string[] = codecs[format] ?? [];
  const codec = compression ?? codecs[format]?.[0];
  if (!codec || !possible.includes(codec))
    throw invalid(
      `format "${format}" with compression "${codec}"`,
      'Files of JSON Lines and CSV are packed by gzip or zstd, Parquet by snappy or zstd.',
    );
  if (!(orphanHours > 0)) throw invalid('orphanHours must be more than 0.', 'Leave it out.');
  const rowBytes = maxRowBytes === undefined ? {} : { maxRowBytes: bytesOf(maxRowBytes) };
  return {
    prefix,
    files: { format, codec, partitionBy: [], rowGroupRows: 122_880, fileBytes: null, ...rowBytes },
    roll: rollOf(roll, { every: '5m', size: '128MB' }),
    orphanHours,
  };
}

const invalid = (what: string, remedy: string): MillraceError =>
  new MillraceError('PIPELINE_INVALID', { message: `A change log cannot be written so: ${what}`, remedy });

function problems(tables: StreamTables): TargetProblem[] {
  return Object.entries(tables).flatMap(([table, { columns }]) => {
    // Readers of Parquet (DuckDB, Spark, Redshift) take no notice of case.
    const seen = new Map(logColumnNames.map((name) => [name, name]));
    return columns.flatMap(({ name }): TargetProblem[] => {
      const other = seen.get(name.toLowerCase());
      seen.set(name.toLowerCase(), name);
      if (other === undefined) return [];
      const what = logColumnNames.includes(other) ? `"${other}", which the log writes itself` : `"${other}"`;
      return [
        { message: `The column "${name}" of "${table}" cannot be told from ${what}.`, remedy: 'Give it another name with rename().' },
      ];
    });
  });
}
