import { MillraceError } from '@millrace/core/runtime';
import type { CsvDialect } from '../duckdb/read-sql.ts';
import { type Difference, differences, meanings } from './endpoint-settings.ts';

/**
 * Settings of the S3 target endpoint, in the names of DMS's `S3Settings`, so that the JSON of a template is the JSON of the pipeline. What is
 * left out here is what `dms` recommends, and not always DMS's own default. Doctor holds the endpoint against it. Other settings may be given
 * too where their value makes no difference (`endpoint-settings.ts`); what could not be read back exactly is refused by name.
 */
export interface S3Output {
  /** `parquet` by default. `csv` cannot tell NULL from a text that reads like `CsvNullValue`. */
  readonly DataFormat?: 'parquet' | 'csv';
  readonly CompressionType?: 'none' | 'gzip';
  /** Names in the first line of a CSV file. Without them the table must be declared with all columns of the source, in its order. */
  readonly AddColumnName?: boolean;
  readonly IncludeOpForFullLoad?: boolean;
  readonly TimestampColumnName?: string;
  /** False: no quotes at all, so that only tables without texts can be read. */
  readonly Rfc4180?: boolean;
  readonly CsvDelimiter?: string;
  readonly CsvRowDelimiter?: string;
  readonly CsvNullValue?: string;
  /** What stands in CSV for a value that the source's log does not have; such a value is refused. `~UNLOGGED~` by default; without it DMS writes NULL. */
  readonly CsvNoSupValue?: string;
  readonly UseCsvNoSupValue?: boolean;
  readonly DatePartitionEnabled?: boolean;
  readonly DatePartitionSequence?: 'YYYYMMDD' | 'YYYYMMDDHH' | 'YYYYMM' | 'MMYYYYDD' | 'DDMMYYYY';
  readonly DatePartitionDelimiter?: 'SLASH' | 'UNDERSCORE' | 'DASH' | 'NONE';
  readonly DatePartitionTimezone?: string;
  /** Changes of all tables in files of their own, in the order of the source's transactions; always CSV without names, whatever `DataFormat` is. */
  readonly PreserveTransactions?: boolean;
  readonly CdcPath?: string;
  /** Seconds after which DMS writes what it has. 60 by default. */
  readonly CdcMaxBatchInterval?: number;
  /** Kilobytes at which it writes before that. 32,000 by default. */
  readonly CdcMinFileSize?: number;
  /** Kilobytes of a file of the full load. */
  readonly MaxFileSize?: number;
  readonly EncodingType?: 'plain' | 'plain-dictionary' | 'rle-dictionary';
  readonly ParquetVersion?: 'parquet-1-0' | 'parquet-2-0';
  readonly EnableStatistics?: boolean;
  readonly DictPageSizeLimit?: number;
  readonly RowGroupLength?: number;
  readonly DataPageSize?: number;
  readonly UseTaskStartTimeForFullLoadTimestamp?: boolean;
}

/** How files are read, as it follows from the settings. */
export interface Reading {
  /** Of full loads, and of changes that are not in files of transactions. */
  readonly format: 'parquet' | 'csv';
  readonly csv: CsvDialect;
  /** Stands where the source's log has no value. */
  readonly unlogged: string | null;
  readonly opInLoad: boolean;
  readonly timestamp: string;
  readonly partitioned: boolean;
  /** The folder of transactional files, with a slash at its end. */
  readonly transactions: string | null;
}

export type CompleteOutput = S3Output & { readonly DataFormat: 'parquet' | 'csv'; readonly TimestampColumnName: string };

/** Texts that no data holds by chance. */
const nullText = '~NULL~';
const unloggedText = '~UNLOGGED~';

/** @throws PIPELINE_INVALID for what DMS refuses, or what could not be read back exactly */
export function completeOutput(output: S3Output = {}): CompleteOutput {
  const refused = refusedSetting({ ...output });
  if (refused) throw invalid(refused);
  const transactional = output.PreserveTransactions === true;
  const format = output.DataFormat ?? (transactional ? 'csv' : 'parquet');
  const csv = {
    AddColumnName: !transactional,
    Rfc4180: true,
    CsvDelimiter: ',',
    CsvRowDelimiter: '\n',
    CsvNullValue: nullText,
    UseCsvNoSupValue: true,
    CsvNoSupValue: unloggedText,
  };
  const complete: CompleteOutput = {
    ...((format === 'csv' || transactional) && csv),
    CompressionType: 'none',
    CdcMaxBatchInterval: 60,
    ...output,
    DataFormat: format,
    IncludeOpForFullLoad: output.IncludeOpForFullLoad ?? true,
    TimestampColumnName: output.TimestampColumnName ?? '_dms_ts',
  };
  const problem = problemOf(complete) ?? (writesCsv(complete) ? csvProblemOf(complete) : null);
  if (problem) throw invalid(problem);
  return complete;
}

/** Whether any of the files is CSV. */
export const writesCsv = ({ DataFormat, PreserveTransactions }: CompleteOutput): boolean =>
  DataFormat === 'csv' || PreserveTransactions === true;

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
    unlogged: output.UseCsvNoSupValue ? (output.CsvNoSupValue ?? null) : null,
    opInLoad: output.IncludeOpForFullLoad ?? true,
    timestamp: output.TimestampColumnName,
    partitioned: output.DatePartitionEnabled ?? false,
    transactions: output.PreserveTransactions ? `${(output.CdcPath as string).replace(/^\/+|\/+$/g, '')}/` : null,
  };
}

type Problem = readonly [why: string, remedy: string];

function refusedSetting(output: Readonly<Record<string, unknown>>): Problem | null {
  for (const [name, value] of Object.entries(output)) {
    const meaning = Object.hasOwn(meanings, name) ? meanings[name as keyof typeof meanings] : undefined;
    if (!meaning) return [`${name} is no setting of an S3 endpoint`, 'Write settings as DMS does: DataFormat, CsvDelimiter, …'];
    if (meaning.read === 'only' && value !== undefined && value !== meaning.value)
      return [`${name} is ${String(value)}, and so ${meaning.why}`, `Leave ${name} out, and set it to false in the endpoint.`];
  }
  return null;
}

function problemOf(output: CompleteOutput): Problem | null {
  if (!['csv', 'parquet'].includes(output.DataFormat))
    return [`DataFormat is ${JSON.stringify(output.DataFormat)}`, "Choose 'parquet' or 'csv'."];
  if (output.TimestampColumnName.trim() === '')
    return [
      'TimestampColumnName is empty, and changes without the time of their commit cannot be put in order',
      "Leave it out: '_dms_ts'.",
    ];
  if (output.PreserveTransactions) {
    if (!output.CdcPath?.replaceAll('/', '').trim())
      return ['PreserveTransactions needs CdcPath', "Name a folder for the transactions: CdcPath: 'transactions'."];
    if (output.AddColumnName) return ['PreserveTransactions and AddColumnName exclude each other', 'Leave AddColumnName out.'];
    if (output.DatePartitionEnabled) return ['PreserveTransactions and DatePartitionEnabled exclude each other', 'Leave one of them out.'];
  } else if (output.CdcPath)
    return ['CdcPath means nothing without PreserveTransactions', 'Set PreserveTransactions: true, or leave it out.'];
  return null;
}

function csvProblemOf(output: CompleteOutput): Problem | null {
  const { CsvDelimiter = ',', CsvNullValue = nullText, CsvRowDelimiter = '\n', UseCsvNoSupValue, CsvNoSupValue } = output;
  if (!/^[\x01-\x09\x0b\x0c\x0e-\x19\x1b-\x1f!#$%&*,;<=>?@^|~]$/.test(CsvDelimiter))
    return [
      `CsvDelimiter is ${JSON.stringify(CsvDelimiter)}`,
      "Choose one ASCII character that stands in no number and no date: ',', ';', '|' or a tab.",
    ];
  if (!/^(\r?\n|\\r?\\n|\\n)$/.test(CsvRowDelimiter))
    return [`CsvRowDelimiter is ${JSON.stringify(CsvRowDelimiter)}`, "Choose '\\n' or '\\r\\n'."];
  if (!standsForItself(CsvNullValue, CsvDelimiter))
    return [
      `CsvNullValue is ${JSON.stringify(CsvNullValue)}, so that NULL could not be told from a value`,
      `Choose a text that no column holds, such as '${nullText}'.`,
    ];
  if (UseCsvNoSupValue && (!CsvNoSupValue || CsvNoSupValue === CsvNullValue || !standsForItself(CsvNoSupValue, CsvDelimiter)))
    return [
      `CsvNoSupValue is ${JSON.stringify(CsvNoSupValue ?? null)}, so that a value which the log does not have could not be told from another`,
      `Choose a text that no column holds, such as '${unloggedText}'.`,
    ];
  return null;
}

/** It needs no quotes, and is neither a number, a time, a truth value nor hexadecimal digits. */
function standsForItself(text: string, delimiter: string): boolean {
  if (text === '' || text !== text.trim() || /["\r\n]/.test(text) || text.includes(delimiter)) return false;
  return !/^([-+.\d][-+.:\d TZeE]*|t|f|true|false|nan|[-+]?inf(inity)?|(\\x)?[\da-f]*)$/i.test(text);
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
export const outputDifferences = (output: CompleteOutput, found: Readonly<Record<string, unknown>>): Difference[] =>
  differences({ ...output }, found, writesCsv(output));

const invalid = ([why, remedy]: Problem): MillraceError => new MillraceError('PIPELINE_INVALID', { message: `dms(): ${why}.`, remedy });
