import { MillraceError } from '@millrace/core/runtime';
import type { CsvDialect } from '../duckdb/read-sql.ts';

/**
 * Settings of the S3 target endpoint, in the names of DMS's `S3Settings`, so that the JSON of a template is the JSON of the pipeline. What is
 * left out here is what `dms` recommends, and not always DMS's own default. Doctor holds the endpoint against it.
 */
export interface S3Output {
  /** `parquet` by default. `csv` cannot tell NULL from a text that reads like `CsvNullValue`. */
  readonly DataFormat?: 'parquet' | 'csv';
  readonly CompressionType?: 'none' | 'gzip';
  /** Names in the first line of a CSV file. Without them the table must be declared with all columns of the source, in its order. */
  readonly AddColumnName?: boolean;
  readonly IncludeOpForFullLoad?: boolean;
  readonly TimestampColumnName?: string;
  /** False: no quotes at all, so that a text with a delimiter or a line break cannot be read back. */
  readonly Rfc4180?: boolean;
  readonly CsvDelimiter?: string;
  readonly CsvRowDelimiter?: string;
  readonly CsvNullValue?: string;
  readonly DatePartitionEnabled?: boolean;
  readonly DatePartitionSequence?: 'YYYYMMDD' | 'YYYYMMDDHH' | 'YYYYMM' | 'MMYYYYDD' | 'DDMMYYYY';
  readonly DatePartitionDelimiter?: 'SLASH' | 'UNDERSCORE' | 'DASH' | 'NONE';
  readonly DatePartitionTimezone?: string;
  /** Changes of all tables in files of their own, in the order of the source's transactions; always CSV without names. */
  readonly PreserveTransactions?: boolean;
  readonly CdcPath?: string;
  /** Seconds after which DMS writes what it has. 60 by default. */
  readonly CdcMaxBatchInterval?: number;
  /** Kilobytes at which it writes before that. 32,000 by default. */
  readonly CdcMinFileSize?: number;
  /** Kilobytes of a file of the full load. */
  readonly MaxFileSize?: number;
  readonly ParquetTimestampInMillisecond?: boolean;
}

/** How files are read, as it follows from the settings. */
export interface Reading {
  readonly format: 'parquet' | 'csv';
  readonly csv: CsvDialect;
  readonly opInLoad: boolean;
  readonly timestamp: string;
  readonly partitioned: boolean;
  /** The folder of transactional files, with a slash at its end. */
  readonly transactions: string | null;
}

export type CompleteOutput = S3Output & { readonly DataFormat: 'parquet' | 'csv'; readonly TimestampColumnName: string };

/** A text that no data holds by chance. */
const nullText = '~NULL~';

/** @throws PIPELINE_INVALID for what DMS refuses, or what could not be read back */
export function completeOutput(output: S3Output = {}): CompleteOutput {
  const transactional = output.PreserveTransactions === true;
  const format = output.DataFormat ?? (transactional ? 'csv' : 'parquet');
  const csv = {
    AddColumnName: !transactional,
    Rfc4180: true,
    CsvDelimiter: ',',
    CsvRowDelimiter: '\n',
    CsvNullValue: nullText,
  };
  const complete: CompleteOutput = {
    ...(format === 'csv' && csv),
    CompressionType: 'none',
    CdcMaxBatchInterval: 60,
    ...output,
    DataFormat: format,
    IncludeOpForFullLoad: output.IncludeOpForFullLoad ?? true,
    TimestampColumnName: output.TimestampColumnName ?? '_dms_ts',
  };
  const problem = problemOf(complete);
  if (problem) throw new MillraceError('PIPELINE_INVALID', { message: `dms(): ${problem[0]}.`, remedy: problem[1] });
  return complete;
}

export function readingOf(output: CompleteOutput): Reading {
  const quote = output.Rfc4180 === false ? '' : '"';
  return {
    format: output.DataFormat,
    csv: {
      header: output.AddColumnName ?? false,
      delimiter: output.CsvDelimiter ?? ',',
      quote,
      escape: quote,
      nullText: output.CsvNullValue ?? nullText,
    },
    opInLoad: output.IncludeOpForFullLoad ?? true,
    timestamp: output.TimestampColumnName,
    partitioned: output.DatePartitionEnabled ?? false,
    transactions: output.PreserveTransactions ? `${(output.CdcPath as string).replace(/^\/+|\/+$/g, '')}/` : null,
  };
}

function problemOf(output: CompleteOutput): readonly [why: string, remedy: string] | null {
  const { CsvDelimiter = ',', CsvNullValue = nullText, CsvRowDelimiter = '\n' } = output;
  if (output.TimestampColumnName.trim() === '')
    return [
      'TimestampColumnName is empty, and changes without the time of their commit cannot be put in order',
      "Leave it out: '_dms_ts'.",
    ];
  if (output.PreserveTransactions) {
    if (!output.CdcPath) return ['PreserveTransactions needs CdcPath', "Name a folder for the transactions: CdcPath: 'transactions'."];
    if (output.DataFormat !== 'csv') return ['transactions are written as CSV only', "Set DataFormat: 'csv', or leave it out."];
    if (output.AddColumnName) return ['PreserveTransactions and AddColumnName exclude each other', 'Leave AddColumnName out.'];
    if (output.DatePartitionEnabled) return ['PreserveTransactions and DatePartitionEnabled exclude each other', 'Leave one of them out.'];
  } else if (output.CdcPath)
    return ['CdcPath means nothing without PreserveTransactions', 'Set PreserveTransactions: true, or leave it out.'];
  if (output.DataFormat !== 'csv') return null;
  if (!/^[\t\x20-\x7e]$/.test(CsvDelimiter) || CsvDelimiter === '"')
    return [`CsvDelimiter is ${JSON.stringify(CsvDelimiter)}`, 'Choose one ASCII character that is no quote.'];
  if (!/^(\r?\n|\\r?\\n|\\n)$/.test(CsvRowDelimiter))
    return [`CsvRowDelimiter is ${JSON.stringify(CsvRowDelimiter)}`, "Choose '\\n' or '\\r\\n'."];
  if (CsvNullValue === '' || /["\r\n]/.test(CsvNullValue) || CsvNullValue.includes(CsvDelimiter))
    return [
      `CsvNullValue is ${JSON.stringify(CsvNullValue)}, so that NULL could not be told from a text`,
      `Choose a text that no column holds, such as '${nullText}'.`,
    ];
  return null;
}

/** The `S3Settings` of the endpoint, for a template or `aws dms modify-endpoint --s3-settings`. */
export function s3Settings(
  output: S3Output,
  place: { readonly bucket: string; readonly folder: string },
): Readonly<Record<string, unknown>> {
  return {
    BucketName: place.bucket,
    ...(place.folder !== '' && { BucketFolder: place.folder.replace(/\/$/, '') }),
    ...completeOutput(output),
  };
}

/** Settings of the endpoint as it is that are not what is read by, each with both values. */
export function outputDifferences(
  output: CompleteOutput,
  found: Readonly<Record<string, unknown>>,
): { readonly name: string; readonly wanted: unknown; readonly found: unknown }[] {
  const wanted: Record<string, unknown> = { ...relevantDefaults, ...output, CdcInsertsOnly: false, CdcInsertsAndUpdates: false };
  return Object.entries(wanted).flatMap(([name, want]) => {
    if (freely.has(name)) return [];
    const is = normal(found[name] ?? dmsDefaults[name]);
    return is === normal(want) ? [] : [{ name, wanted: want, found: found[name] ?? dmsDefaults[name] ?? null }];
  });
}

/** What may be otherwise without making a difference to the reader. */
const freely = new Set([
  'CdcMaxBatchInterval',
  'CdcMinFileSize',
  'MaxFileSize',
  'DatePartitionTimezone',
  'CompressionType',
  'ParquetTimestampInMillisecond',
]);
const relevantDefaults: Readonly<Record<string, unknown>> = { DatePartitionEnabled: false, PreserveTransactions: false };
/** DMS's own, of settings that it does not show when they were never set. */
const dmsDefaults: Readonly<Record<string, unknown>> = {
  DataFormat: 'csv',
  AddColumnName: false,
  IncludeOpForFullLoad: false,
  Rfc4180: true,
  CsvDelimiter: ',',
  CsvRowDelimiter: '\n',
  CsvNullValue: 'NULL',
  DatePartitionEnabled: false,
  DatePartitionSequence: 'YYYYMMDD',
  DatePartitionDelimiter: 'SLASH',
  PreserveTransactions: false,
  CdcInsertsOnly: false,
  CdcInsertsAndUpdates: false,
};

const normal = (value: unknown): string =>
  String(value ?? '')
    .replaceAll('\\n', '\n')
    .replaceAll('\\r', '\r')
    .replace(/^\/+|\/+$/g, '')
    .toLowerCase();
