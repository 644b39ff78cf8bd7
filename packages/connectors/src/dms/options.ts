import { type CapturedTable, type Duration, MillraceError, milliseconds, type RowSchema } from '@millrace/core/runtime';
import { regionOfArn } from '../aws/console.ts';
import type { AwsSettings } from '../aws/settings.ts';
import type { FileConnection } from '../s3/connection.ts';
import { typeProblem } from './dms-types.ts';
import { beforeColumn, placeOfTable, sequenceColumn, tableMappings } from './mappings.ts';
import { type CompleteOutput, completeOutput, type Reading, readingOf, type S3Output } from './output.ts';
import { opColumn, type TableReading } from './read-file.ts';
import { defaultLobKilobytes, type TaskSettingOptions, taskSettings } from './task-settings.ts';

export interface DmsOptions extends AwsSettings, TaskSettingOptions {
  /** ARN of a replication task that does full load and ongoing replication into S3. */
  readonly task?: string;
  /** ARN of the configuration of a serverless replication, instead. */
  readonly replication?: string;
  /** Where the target endpoint writes, its bucket and folder: `s3({ url: 's3://bucket/folder' })`. The stream keeps its journal there too, under `_millrace/`. */
  readonly files: FileConnection;
  /** Settings of the target endpoint, in DMS's own names. Parquet by default. */
  readonly output?: S3Output;
  /** Brings table mappings and settings of the task up to date before each full load. True by default; else they are only checked. */
  readonly manage?: boolean;
  /**
   * Has the mappings add DMS's number of each change, by which changes that come twice or late are known. True by default. Without it they are
   * put in order by the time of their commit, and a row that one transaction changes back and forth may end as it was in between.
   */
  readonly sequence?: boolean;
  /**
   * Has the mappings add the key as it was before an update, so that an update which changes it moves the row. True by default where columns
   * have names in the files; in others, and with false, the row stays under its old key too.
   */
  readonly keyChanges?: boolean;
  /**
   * What comes of a table that was truncated or written anew at a Postgres source, which DMS does not tell: `stop` by default, or `warn`, where
   * it is `VACUUM FULL` or `CLUSTER` that does so.
   */
  readonly rewritten?: 'stop' | 'warn';
  /** How the task writes bytes into CSV. `hex` by default. */
  readonly binary?: 'hex' | 'base64';
  /** Kilobytes for single tables, by their names in the pipeline, where it is not that of the task. */
  readonly lobKilobytesOf?: Readonly<Record<string, number>>;
  /** Between two looks for files, `'10s'` by default. Each look lists the folder of each table. */
  readonly poll?: Duration;
  /** Files younger than this are left for the next look, so that those which were written before them can appear: `'5s'` by default. */
  readonly settle?: Duration;
  /** How late a file may come and still find its place: `'6h'` by default. Memory and the journal grow with it. */
  readonly lookBack?: Duration;
  /**
   * With PreserveTransactions, how long the last transaction of the newest file waits for its rest, which may be in the file that comes next:
   * twice `CdcMaxBatchInterval` by default.
   */
  readonly transactionWait?: Duration;
  /** Between two looks at a task that starts, loads or stops: `'5s'` by default. */
  readonly look?: Duration;
}

export interface EngineSettings {
  readonly arn: string;
  readonly output: CompleteOutput;
  readonly reading: Reading;
  readonly manage: boolean;
  readonly task: { readonly mappings: string; readonly settings: Readonly<Record<string, unknown>> };
  readonly pollMs: number;
  readonly settleMs: number;
  readonly lookBackMs: number;
  readonly lookMs: number;
  readonly transactionWaitMs: number;
  readonly rewritten: 'stop' | 'warn';
  readonly lobKilobytes: (table: string) => number;
  readonly readings: ReadonlyMap<string, TableReading>;
}

/** @throws PIPELINE_INVALID */
export function engineSettings(options: DmsOptions, tables: Readonly<Record<string, CapturedTable>>): EngineSettings {
  const { sequence = true, binary = 'hex', manage = true, lobKilobytes = defaultLobKilobytes, lobKilobytesOf = {} } = options;
  const { poll = '10s', settle = '5s', lookBack = '6h', look = '5s', rewritten = 'stop' } = options;
  const output = completeOutput(options.output);
  const reading = readingOf(output);
  const { CdcMaxBatchInterval = 60 } = output;
  const { transactionWait = `${2 * CdcMaxBatchInterval}s` as const } = options;
  const isNamed = reading.transactions === null && (reading.format === 'parquet' || reading.csv.header);
  const { keyChanges = isNamed } = options;
  if (keyChanges && !isNamed)
    throw invalid(
      'keyChanges needs columns with names',
      "Leave it out, or have files with names: DataFormat: 'parquet', or AddColumnName: true without PreserveTransactions.",
    );
  const readings = new Map<string, TableReading>();
  for (const [name, { name: declared, schema }] of Object.entries(tables)) {
    const added = [opColumn, reading.timestamp, sequenceColumn, ...(schema.key ?? []).map(beforeColumn)];
    const problem = problemOf(
      schema.key,
      schema.columns.map((column) => typeProblem(column, reading) ?? nameProblem(column.name, schema, added)),
    );
    if (problem) throw invalid(`"${declared}": ${problem[0]}`, problem[1]);
    readings.set(name, { place: placeOfTable(declared), schema, reading, sequence, keyBefore: keyChanges, binary });
  }
  return {
    arn: arnOf(options),
    output,
    reading,
    manage,
    task: {
      mappings: JSON.stringify(tableMappings(tables, { sequence, keyBefore: keyChanges, lobKilobytes: lobKilobytesOf })),
      settings: taskSettings(options),
    },
    pollMs: milliseconds(poll),
    settleMs: milliseconds(settle),
    lookBackMs: milliseconds(lookBack),
    lookMs: milliseconds(look),
    transactionWaitMs: reading.transactions === null ? 0 : milliseconds(transactionWait),
    rewritten,
    lobKilobytes: (table) => (Object.hasOwn(lobKilobytesOf, table) ? (lobKilobytesOf[table] as number) : lobKilobytes),
    readings,
  };
}

function problemOf(key: readonly string[] | undefined, types: readonly (string | null)[]): readonly [string, string] | null {
  if (!key || key.length === 0)
    return [
      'it has no key, and of such tables DMS leaves out updates and deletes without a word',
      "Declare its key: table(…, { key: ['id'] }).",
    ];
  const wrong = types.filter((one) => one !== null);
  return wrong.length === 0
    ? null
    : [
        wrong.join('; '),
        'Leave the column out of the table() declaration, change its type at the source, or capture without an engine: natively.',
      ];
}

/** Names that differ in their case only are one to a reader of Parquet. */
function nameProblem(name: string, { columns }: RowSchema, added: readonly string[]): string | null {
  const is = (other: string): boolean => other.toLowerCase() === name.toLowerCase();
  if (added.some(is)) return `column "${name}" has the name of one that DMS adds`;
  return columns.filter((column) => is(column.name)).length > 1 ? `column "${name}" differs from another in its case only` : null;
}

function arnOf({ task, replication }: DmsOptions): string {
  if ((task === undefined) === (replication === undefined))
    throw invalid(
      'it needs one of task and replication',
      'Give the ARN of a replication task, or of the configuration of a serverless replication.',
    );
  const arn = (task ?? replication) as string;
  const what = task === undefined ? 'replication-config' : 'task';
  if (regionOfArn(arn) !== null && arn.split(':')[5] === what) return arn;
  throw invalid(
    `"${arn}" is no ARN of a ${what}`,
    `Write it as DMS shows it: arn:aws:dms:eu-west-1:123456789012:${what}:ABCDEFGHIJKLMNOPQRSTUVWXYZ.`,
  );
}

const invalid = (why: string, remedy: string): MillraceError =>
  new MillraceError('PIPELINE_INVALID', { message: `dms(): ${why}.`, remedy });
